"""Checkpoint files as strangers may make them: damaged, ill-formed, or written to do harm."""

import io
import json
import math
import pickle
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer
from torch import Tensor

from asid_plugin.checkpoints.archives import load_pickled

HARM = 'harm'
"""File that a checkpoint whose code was run leaves in the current folder."""
VICTIM = 'victim'
"""File in the current folder that no checkpoint may remove."""
ESCAPES = '\x1b]0;owned\x07\x1b[2J\u202e\n'


class Call:
    """An object whose pickle calls a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


def calls(rng: random.Random) -> Call:
    """A call of something that a reader of checkpoints might let pass."""
    touch = Call(Path.touch, Path(HARM))
    forged = Call(np.ndarray, (1,), 'O', b'A' * 64)
    return rng.choice(
        [
            touch,
            Call(eval, f'open({HARM!r}, "w")'),
            Call(getattr, Path(HARM), 'touch'),
            Call(Call, touch),
            forged,
            Call(HistoryBuffer, forged, [1]),
            Call(HistoryBuffer, [1.0], [1], touch),
            Call(HistoryBuffer.register_statistics, Path.touch),
            Call(torch.Tensor, 10**5, 10**5),
            Call(torch.FloatTensor, 10**10),
            Call(bytearray, 10**10),
            Call(list, range(10**9)),
            Call(torch._utils._rebuild_tensor_v2, torch.zeros(1), 0, (10**9,), (0,), False, {}),
            Call(torch._utils._rebuild_parameter, touch, True, {}),
            Call(np.dtype, 'O'),
            Call(np._core.multiarray.scalar, np.dtype('O'), b'A' * 8),
            Call(np.frombuffer, b'A' * 8, 'O'),
        ]
    )


def entries(content: Any, depth: int = 0) -> list[tuple[dict[Any, Any], Any]]:
    """All entries of mappings in mappings and lists, by mapping and key; not of those that hold themselves forever."""
    if depth > 12:
        return []
    inner = list(content.values()) if isinstance(content, dict) else content if isinstance(content, list) else []
    own = [(content, key) for key in content] if isinstance(content, dict) else []
    return own + [entry for value in inner for entry in entries(value, depth + 1)]


def weights(content: Any) -> list[tuple[dict[Any, Any], Any]]:
    """Those of `entries` that are tensors."""
    return [(owner, key) for owner, key in entries(content) if isinstance(owner[key], Tensor)]


def rename(content: Any, rng: random.Random) -> None:
    """Give a tensor another name."""
    owner, key = rng.choice(weights(content))
    digits = rng.choice(['1000000000', '9' * 5000, '7', '-1', '٣'])
    name = str(key)
    new = rng.choice(
        [f'body.{digits}.x', f'block{digits}.x.weight', ESCAPES + name, name + '\0', 'x' * 10**6, '', 1, True, None]
    )
    owner[new] = owner.pop(key)


def reshape(content: Any, rng: random.Random) -> None:
    """Give some tensors another shape."""
    for owner, key in rng.sample(weights(content), k=rng.choice([1, 1, 2, 5])):
        value = owner[key]
        owner[key] = rng.choice(
            [
                torch.zeros(0, *value.shape[1:]),
                torch.zeros(*value.shape[:-1], 0),
                torch.zeros(()),
                value[None],
                value.flatten(),
                value.transpose(0, -1) if value.ndim else value,
                torch.zeros(1).expand(50_000, *value.shape[1:]),
                torch.zeros(50_000, *([1] * (value.ndim - 1))),
                torch.zeros([1] * 40),
            ]
        )


def retype(content: Any, rng: random.Random) -> None:
    """Give some tensors another type, or values that are no numbers."""
    for owner, key in rng.sample(weights(content), k=rng.choice([1, 3])):
        value = owner[key]
        dtypes = [torch.bool, torch.int64, torch.uint8, torch.complex64, torch.float64, torch.float8_e4m3fn]
        owner[key] = rng.choice(
            [
                value.to(rng.choice(dtypes)),
                value * float('nan'),
                value.to_sparse(),
                value.to('meta'),
                [value],
                None,
                'x',
            ]
        )


def expand(content: Any, rng: random.Random) -> None:
    """Make all tensors views of one number: a small file of a huge network."""
    for owner, key in weights(content):
        sides = [side if side < 10 else side * 1000 for side in owner[key].shape]
        owner[key] = torch.zeros(()).expand(sides if math.prod(sides) < 2**60 else owner[key].shape)


def share(content: Any, rng: random.Random) -> None:
    """Add ten thousand blocks that are one."""
    owner, key = rng.choice(weights(content))
    owner |= {f'body.{n}.{rng.choice(["x", "conv.weight"])}': owner[key] for n in range(rng.choice([100, 10_000]))}


def remove(content: Any, rng: random.Random) -> None:
    """Leave something out."""
    owner, key = rng.choice(entries(content))
    del owner[key]


def replace(content: Any, rng: random.Random) -> None:
    """Put something else in the place of anything."""
    owner, key = rng.choice(entries(content))
    odd = [None, -1, 2**70, float('nan'), '', ESCAPES, [], {}, {1: 2}, [[]], torch.zeros(3), True, owner, b'\xff']
    owner[key] = rng.choice(odd)


def call(content: Any, rng: random.Random) -> None:
    """Put a call in the place of anything, or beside it."""
    owner, key = rng.choice(entries(content))
    owner[rng.choice([key, 'extra'])] = calls(rng)


def wrap(content: Any, rng: random.Random) -> None:
    """Put all behind wrappers."""
    inner = copy(content)
    content.clear()
    for name in rng.choices(
        ['params', 'net', 'ema', 'teacher', 'generator', ESCAPES, 'params_ema'], k=rng.randint(1, 6)
    ):
        inner = {name: inner}
    content |= inner


def pair(content: Any, rng: random.Random) -> None:
    """Put a second network beside the first."""
    other = rng.choice(['student', 'ema_model', 'params-ema', 'b' * 1000, 'model'])
    content[other] = {key: value for owner, key in weights(content) if isinstance(value := owner[key], Tensor)}


def shared(levels: int = 40) -> tuple[Any, ...]:
    """A tuple of a tuple twice, and so on: a small file whose text would have 2^levels letters."""
    value: tuple[Any, ...] = ()
    for _ in range(levels):
        value = value, value
    return value


def nest(content: Any, rng: random.Random) -> None:
    """Put a container that is shared many times in the place of anything, or beside it."""
    owner, key = rng.choice(entries(content))
    owner[rng.choice([key, 'extra'])] = rng.choice([shared(), list(shared()), {'x': shared()}])


def mislead(content: Any, rng: random.Random) -> None:
    """Tell a resumed training of MMEngine something; others get something shared."""
    info = content.get('message_hub', {}).get('runtime_info')
    if not (isinstance(info, dict) and isinstance(content.get('meta'), dict) and content.get('param_schedulers')):
        nest(content, rng)
        return
    odd = rng.choice(['x', None, -1, 2**70, [], {}, ['x'], shared()])
    victim = rng.choice([VICTIM, f'work/../{VICTIM}', '.', 'work', '../best_'])
    schedule = content['param_schedulers'][0]
    rng.choice(
        [
            lambda: content['meta'].update(config=f'x = open({HARM!r}, "w").close()\n'),
            lambda: content['meta'].update(seed=odd),
            lambda: info.update(best_ckpt=victim, best_score=-1.0),
            lambda: info.update(best_ckpt=victim, best_score=-1.0),
            lambda: info.update(last_ckpt=victim),
            lambda: info.update(best_score=odd),
            lambda: info.update(keep_ckpt_ids=rng.choice([odd, [odd], [f'/../../{VICTIM}'] * 9])),
            lambda: info.update(sampler_seed=odd),
            lambda: schedule.update({rng.choice([*schedule, 'step', 'optimizer']): odd}),
            lambda: schedule.update({rng.choice([*schedule, 'step', 'optimizer']): odd}),
        ]
    )()


OBJECTS = (
    rename,
    reshape,
    retype,
    expand,
    share,
    remove,
    replace,
    replace,
    call,
    call,
    wrap,
    pair,
    nest,
    mislead,
    mislead,
)
"""Changes of what a file holds."""


def flip(content: bytes, rng: random.Random) -> bytes:
    """Flip some bits."""
    damaged = bytearray(content)
    for _ in range(rng.choice([1, 1, 10, 1000])):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def flip_head(content: bytes, rng: random.Random) -> bytes:
    """Flip bits where the pickle or the header is."""
    return flip(content[:2000], rng) + content[2000:]


def cut(content: bytes, rng: random.Random) -> bytes:
    """Cut the file short, or its beginning off."""
    at = rng.randrange(len(content))
    return rng.choice([content[:at], content[at:]])


def blank(content: bytes, rng: random.Random) -> bytes:
    """Overwrite a piece by zeros or by noise."""
    at, size = rng.randrange(len(content)), rng.choice([8, 512, 4096])
    return content[:at] + rng.choice([bytes(size), rng.randbytes(size)]) + content[at + size :]


def bomb(content: bytes, rng: random.Random) -> bytes:
    """A zip archive of packed zeros, or of entries that lie on each other."""
    names, buffer = ['data.pkl', 'version', 'data/0', 'data/1', 'x'], io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(f'archive/{name}', bytes(rng.choice([10, 20_000_000])))
        if rng.random() < 0.5:
            archive.filelist += [renamed(archive.filelist[-1], f'archive/data/{n}') for n in range(2, 1000)]
    return buffer.getvalue()


def renamed(entry: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
    """An entry by another name at the same place."""
    other = copy(entry)
    other.filename = other.orig_filename = name
    return other


def raw(content: bytes, rng: random.Random) -> bytes:
    """A pickle that no pickler writes, by itself or as that of a zip archive."""
    laughs = b'K\x01' + b'\x86'.join([b'2'] * 60) + b'\x86'
    name = rng.choice(
        [b'cos\nsystem\n', b'cbuiltins\nexec\n', b'cnumpy\nndarray\n', b'ctorch\nTensor\n', b'c\x1b[2J\nx\n']
    )
    body = rng.choice(
        [
            *repetitions(),
            b'}r' + struct.pack('<I', 2**32 - 1) + b'.',
            b'}' + laughs + b'K\x01s.',
            b'(' * 10**6 + b'.',
            b']' * 10**5 + b'a' * (10**5 - 1) + b'.',
            b'\x8b' + struct.pack('<i', 2**31 - 1) + b'1',
            b'\x8e' + struct.pack('<Q', 2**62) + b'x',
            b'\x95' + struct.pack('<Q', 2**62) + b'N.',
            b'}(' + b'K\x01K\x02' * 10**6 + b'u.',
            name + b'(X\x0a\x00\x00\x00touch harm\ntR.',
            b'X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93(X\x0a\x00\x00\x00touch harmtR.',
            b'(X\x0a\x00\x00\x00touch harm' + b'ios\nsystem\n.',
            b'(K\x01K\x02tQ.',
            b'\x82\x01.',
            b'Vx\np0\ng9\n.',
            b'N' * 10**7 + b'.',
        ]
    )
    if rng.random() < 0.5:
        return b'\x80\x02' + body
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr('archive/data.pkl', b'\x80\x02' + body)
        archive.writestr('archive/version', b'3\n')
    return buffer.getvalue()


def repetitions() -> list[bytes]:
    """Pickles that call a function again and again with what they remember."""

    def repeated(function: bytes, arguments: bytes) -> bytes:
        return function + b'q\x00' + arguments + b'q\x01(' + b'h\x00h\x01R0' * 3000 + b'1}.'

    numbers = b'](' + b''.join(b'J' + struct.pack('<i', n) for n in range(50_000)) + b'e'
    text = b'X' + struct.pack('<I', 10**6) + b'a' * 10**6 + b'X\x06\x00\x00\x00latin1'
    nested = b'(' + b')q\x00' + b''.join(b'h%ch%c\x86q%c' % (n, n, n + 1) for n in range(40)) + b'1h\x28'
    return [
        repeated(b'cbuiltins\nset\n', numbers + b'\x85'),
        repeated(b'c_codecs\nencode\n', text + b'\x86'),
        repeated(b'ctorch\ndevice\n', b'(' + b'N' * 50_000 + b't'),
        b'}K\x01cnumpy\ndtype\n' + nested + b'\x85Rs.',
        b'(X\x07\x00\x00\x00storagectorch\nFloatStorage\n' + nested + b'X\x03\x00\x00\x00cpuK\x01tQ.',
        b'}\x8b' + struct.pack('<i', 5000) + b'\x01' * 5000 + b'K\x01s.',
        b'Nr\x00\x00\x00\x06.',
    ]


def pickled(content: bytes, rng: random.Random) -> bytes:
    """A plain pickle of a call."""
    return pickle.dumps({'params': calls(rng)}, protocol=rng.choice([0, 2, 4, 5]))


BYTES = (flip, flip_head, cut, blank, bomb, raw, pickled)
"""Changes of a file."""


def header(content: bytes, rng: random.Random) -> bytes:
    """A .safetensors with another header."""
    size = int.from_bytes(content[:8], 'little')
    listed = json.loads(content[8 : 8 + size])
    name = rng.choice([key for key in listed if key != '__metadata__'])
    change = rng.choice(
        [
            lambda: listed[name].update(shape=rng.choice([[], [0], [2**60], [-1], [2**40, 2**40], ['x']])),
            lambda: listed[name].update(data_offsets=rng.choice([[0, 0], [0, 2**62], [8, 4], [-4, 0]])),
            lambda: listed[name].update(dtype=rng.choice(['F4', 'F8_E8M0', 'I64', 'C64', 'X', None])),
            lambda: listed.update({'__metadata__': rng.choice([1, {'network_g': '{' * 10**5}, {'data': ESCAPES}])}),
            lambda: listed.update({f'body.{10**9}.x': listed.pop(name)}),
            lambda: listed.update({ESCAPES: listed.pop(name)}),
        ]
    )
    change()
    new = json.dumps(listed).encode()
    return rng.choice([len(new), 2**63, 0]).to_bytes(8, 'little') + new + content[8 + size :]


def make(base: Path, number: int) -> tuple[str, bytes]:
    """One file made of another: the name of the change, and the content."""
    rng = random.Random(number)
    if base.suffix == '.safetensors':
        change = rng.choice([*BYTES[:4], header, header])
        return change.__name__, change(base.read_bytes(), rng)
    if rng.random() < 0.35:
        damage = rng.choice(BYTES)
        return damage.__name__, damage(base.read_bytes(), rng)
    content = load_pickled(base, HistoryBuffer)
    names = []
    for change_object in rng.choices(OBJECTS, k=rng.choice([1, 1, 2])):
        if weights(content):
            change_object(content, rng)
            names.append(change_object.__name__)
    buffer = io.BytesIO()
    try:
        torch.save(content, buffer, _use_new_zipfile_serialization=rng.random() < 0.8)
    except (AttributeError, RecursionError, RuntimeError, pickle.PicklingError):
        return 'whole', base.read_bytes()
    return '+'.join(names), buffer.getvalue()


def numbers(how_many: int, seed: int) -> Iterator[int]:
    """Different numbers, drawn by Hypothesis; each stands for one file."""
    drawn: list[int] = []

    @seeded(seed)
    @settings(
        max_examples=how_many,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**64 - 1))
    def draw(number: int) -> None:
        drawn.append(number)

    draw()
    yield from drawn[:how_many]

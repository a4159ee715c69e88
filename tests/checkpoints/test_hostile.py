"""Checkpoint files from strangers: nothing in them is called, and none costs more than it is large."""

import io
import itertools
import math
import pickle
import resource
import struct
import tarfile
import time
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import save_file
from torch import Tensor

from asid_plugin.archs import ASID, OmniSR
from asid_plugin.checkpoints import CheckpointError, build, load_asid, read_state_dict
from asid_plugin.checkpoints.archives import check_file, load_pickled
from asid_plugin.checkpoints.training_states import check_optimizer
from asid_plugin.checkpoints.unpickling import UnpicklingError
from asid_plugin.layouts.author_layout import to_author_layout
from asid_plugin.layouts.omnisr_layout import to_released_layout
from asid_plugin.options.optimizers import soap


def weights(**arguments: object) -> dict[str, Tensor]:
    return ASID(**{'num_feat': 16, 'num_block': 1} | arguments).state_dict()


def omnisr() -> dict[str, Tensor]:
    return OmniSR(num_feat=16, num_block=1).state_dict()


def refusal(path: Path) -> str:
    """The error of `load_asid` on a file, without its name; it must be one line without escapes."""
    with pytest.raises(CheckpointError) as error:
        load_asid(path)
    name, _, message = str(error.value).partition(': ')
    assert name == str(path) and message.isprintable()
    return message


class Call:
    """An object whose pickle calls a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


FORGED = Call(np.ndarray, (1,), 'O', b'A' * 64)
"""An array of objects over a pointer that is none."""


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (Call(eval, '1'), 'refused: it holds Python objects other than tensors and numbers (builtins.eval)'),
        (Call(torch.Tensor, 10**5, 10**5), 'tensors and numbers (torch.Tensor)'),
        (Call(bytearray, 10**10), 'tensors and numbers (builtins.bytearray)'),
        (Call(torch.FloatTensor, 10**10), 'tensors and numbers (torch.FloatTensor)'),
        (Call(np._core.multiarray.scalar, np.dtype('O'), b'A' * 8), 'arrays of O8, which are not numbers'),
        (Call(Counter, [1]), 'a Counter that is not made from a dict'),
        (Call(torch.Size, (-1,)), 'a size that is not a tuple of whole numbers'),
        (Call(torch._utils._rebuild_parameter, 'x', True, {}), 'a parameter without a tensor'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_calls_are_refused_by_name(tmp_path: Path, call: Call, message: str):
    torch.save({'params': weights(), 'extra': call}, tmp_path / 'a.pth')
    assert message in refusal(tmp_path / 'a.pth')


@pytest.mark.parametrize('extra', [FORGED, Call(HistoryBuffer, FORGED, [1]), Call(HistoryBuffer, [1], [1], FORGED)])
def test_what_belongs_to_mmengines_log_is_not_called(tmp_path: Path, extra: Call):
    torch.save({'state_dict': weights(), 'message_hub': extra}, tmp_path / 'a.pth')
    assert load_asid(tmp_path / 'a.pth').arguments['num_feat'] == 16


def test_a_log_comes_back_as_numbers(tmp_path: Path):
    arrays = {
        'f8': np.array([1.5, -2, np.inf]),
        'i8': np.array([[1, 2], [3, 4]]).T,
        'big': np.arange(3, dtype='>i4'),
        'none': np.zeros((0, 2), np.float32),
        'bool': np.array([True, False]),
    }
    log = HistoryBuffer([0.5, 1.5], [1, 2], max_length=7)
    content = {'log': log, 'again': log, 'best': np.float32(0.25), 'count': np.int64(3), 'arrays': arrays}
    torch.save(content, tmp_path / 'a.pth')
    read = load_pickled(tmp_path / 'a.pth', HistoryBuffer)
    assert read['log'] is read['again'] and isinstance(read['log'], HistoryBuffer)
    assert read['log'].mean() == 2 / 3 and read['log'].max_length == 7
    assert [row.tolist() for row in read['log'].data] == [[0.5, 1.5], [1, 2]]
    assert (read['best'], read['count']) == (0.25, 3) and type(read['count']) is int
    for name, array in arrays.items():
        assert read['arrays'][name].tolist() == array.tolist() and read['arrays'][
            name
        ].dtype == array.dtype.newbyteorder('=')


def training_state() -> dict[str, Any]:
    """All kinds of objects that trainings save."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 1, 5])
    others = {'set': {1, 'a'}, 'bytes': b'\0\xff', 'tuple': (1, [2.5, {3: None}]), 'size': net[0].weight.shape}
    tensors = {'empty': torch.zeros(0), 'scalar': torch.tensor(3), 'view': torch.arange(12).view(3, 4).T[1:]}
    kinds = {str(kind): torch.ones(2, dtype=kind) for kind in (torch.bfloat16, torch.bool, torch.uint8, torch.int16)}
    states = {'net': net.state_dict(), 'optimizer': optimizer.state_dict(), 'scheduler': scheduler.state_dict()}
    return states | others | tensors | kinds | {'parameter': net[0].weight, 'big': 2**100}


def same(a: object, b: object) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride() and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return type(a) is type(b) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize('protocol', [2, 4, 5])
@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'old'])
def test_what_torch_saves_is_read_as_torch_reads_it(tmp_path: Path, protocol: int, zipped: bool):
    content = training_state()
    torch.save(content, tmp_path / 'a.pth', pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    read = load_pickled(tmp_path / 'a.pth')
    assert same(read, torch.load(tmp_path / 'a.pth', weights_only=False) | {'parameter': read['parameter']})
    assert torch.equal(read['parameter'], content['parameter']) and isinstance(read['scheduler']['milestones'], Counter)
    assert read['net']._metadata == content['net']._metadata


def write_zip(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, 'w', compression) as archive:
        for name, content in entries.items():
            archive.writestr(f'archive/{name}', content)


NESTED = b'(' + b')q\x00' + b''.join(b'h%ch%c\x86q%c' % (n, n, n + 1) for n in range(60)) + b'1h\x3c'
"""A tuple of a tuple twice, and so on: its text would be 2^60 letters."""
SET, ENCODE = b'cbuiltins\nset\n', b'c_codecs\nencode\n'


def text(content: str) -> bytes:
    return b'X' + struct.pack('<I', len(content)) + content.encode()


def repeated(function: bytes, arguments: bytes, times: int) -> bytes:
    return function + b'q\x00' + arguments + b'q\x01(' + b'h\x00h\x01R0' * times + b'1}.'


MANY = b'](' + b''.join(b'J' + struct.pack('<i', n) for n in range(100_000)) + b'e'


@pytest.mark.slow
@pytest.mark.parametrize(
    'content',
    [
        b'}' + text('a') + b'cnumpy\ndtype\n' + NESTED + b'\x85Rs.',
        b'(' + text('storage') + b'ctorch\nFloatStorage\n' + NESTED + text('cpu') + b'K\x01tQ.',
        repeated(SET, MANY + b'\x85', 500),
        repeated(b'ccollections\nOrderedDict\n', MANY + b'\x85', 500),
        repeated(b'ctorch\ndevice\n', b'(' + b'N' * 100_000 + b't', 100_000),
        repeated(ENCODE, text('a' * 1_000_000) + text('latin1') + b'\x86', 500),
        b'}\x8b' + struct.pack('<i', 5000) + b'\x01' * 5000 + b'K\x01s.',
        b'}' + text('a') + b'\x8b' + struct.pack('<i', 5000) + b'\x01' * 5000 + b's.',
    ],
    ids=['type', 'storage', 'set', 'OrderedDict', 'device', 'encode', 'key', 'value'],
)
def test_small_pickles_cost_little(tmp_path: Path, content: bytes):
    path = tmp_path / 'a.pth'
    write_zip(path, {'data.pkl': b'\x80\x02' + content, 'version': b'3\n'})
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refusal(path)
    assert time.process_time() - begun < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize('before', range(5))
@pytest.mark.parametrize('memo', [b'r\x00\x00\x00\x06', b'r\xff\xff\xff\xff', b'p4294967295\n'])
def test_pickles_of_the_old_format_for_other_readers(tmp_path: Path, before: int, memo: bytes):
    path = tmp_path / 'a.pth'
    path.write_bytes(pickle.dumps({'a': 'b'}, 2) * before + b'\x80\x02N' + memo + b'.')
    with pytest.raises(UnpicklingError, match='a pickle with memo entry'):
        check_file(path)
    whole = io.BytesIO()
    torch.save(weights(), whole)
    path.write_bytes(path.read_bytes() + whole.getvalue())  # an archive for Python, none for torch
    with pytest.raises(UnpicklingError, match='a pickle with memo entry'):
        check_file(path)


@pytest.mark.slow
def test_pickles_of_very_many_steps_for_other_readers(tmp_path: Path):
    """Each of them is looked at, so that a file of 10 MB took five seconds; 12,000 tensors are half a million."""
    path, steps = tmp_path / 'a.pth', b'N0' * 5_000_000
    for content in (b'\x80\x02' + steps + b'N.', b'\x80\x02]' + b'K\x01a' * 900_000 + b'.'):
        write_zip(path, {'data.pkl': content, 'version': b'3\n'})
        begun = time.process_time()
        with pytest.raises(UnpicklingError, match='of more than 2000000 steps') if steps in content else nullcontext():
            check_file(path)
        assert time.process_time() - begun < 4


def test_files_for_other_readers(tmp_path: Path):
    path = tmp_path / 'a.pth'
    for zipped in (True, False):
        torch.save(weights(), path, _use_new_zipfile_serialization=zipped)
        check_file(path)
    for damaged in (b'', path.read_bytes()[:1000], b'\x80\x02\xff', b'\x8e' + struct.pack('<Q', 2**62)):
        path.write_bytes(damaged)
        check_file(path)
    write_zip(path, {'DATA.PKL': b'\x80\x02Nr\xff\xff\xff\xff.'})
    with pytest.raises(UnpicklingError, match='a pickle with memo entry'):
        check_file(path)
    with tarfile.open(path, 'w') as archive:
        archive.addfile(tarfile.TarInfo('storages'))
    with pytest.raises(UnpicklingError, match='a tar archive'):
        check_file(path)


@pytest.mark.slow
def test_many_storages_of_the_old_format(tmp_path: Path):
    path, head = tmp_path / 'a.pth', (0x1950A86A20F9469CFC6C, 1001, {'little_endian': True})
    kind = text('storage') + b'q\x00ctorch\nFloatStorage\nq\x01' + text('cpu') + b'q\x02('
    storages = b''.join(b'(h\x00h\x01' + text(str(n)) + b'h\x02K\x00tQ0' for n in range(12_000))
    for names in ([], [3]):
        pickles = [*(pickle.dumps(part, 2) for part in head), b'\x80\x02' + kind + storages + b'1}.']
        path.write_bytes(b''.join(pickles) + pickle.dumps(names, 2))
        begun = time.process_time()
        assert refusal(path) == 'storages are missing'
        assert time.process_time() - begun < 5


def test_archives_that_swell_are_refused(tmp_path: Path):
    path, zeros = tmp_path / 'a.pth', bytes(50_000_000)
    write_zip(path, {'data.pkl': pickle.dumps({}, 2), 'data/0': zeros}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    assert 'that become 50000' in refusal(path)
    with pytest.raises(UnpicklingError, match='when unpacked'):
        check_file(path)
    buffer = io.BytesIO()  # many entries of one place, none of them packed
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr('archive/data.pkl', pickle.dumps({}, 2))
        archive.writestr('archive/data/0', bytes(2_000_000))
        archive.filelist += [archive.filelist[-1]] * 20
    path.write_bytes(buffer.getvalue())
    assert 'when unpacked' in refusal(path)


LAUGHS = b'K\x01' + b'q\x00h\x00\x86' * 80
"""A tuple of a tuple twice, and so on eighty times: its hash would take for ever."""


@pytest.mark.slow
@pytest.mark.parametrize(
    'content',
    [
        b'}r\xff\xff\xff\xff.',
        b'}' + LAUGHS + b'K\x01s.',
        b'(' * 3_000_000 + b'.',
        b'\x8b\xff\xff\xff\x7f1',
        b'\x8e' + struct.pack('<Q', 2**62) + b'x',
        b'\x95' + struct.pack('<Q', 2**62) + b'N.',
        b'N' * 5_000_000 + b'.',
        b'(X\x02\x00\x00\x00lsios\nsystem\n.',
        b'}X\x01\x00\x00\x00aK\x01K\x02u.',
    ],
    ids=lambda content: repr(content[:12]),
)
@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'raw'])
def test_pickles_that_no_pickler_writes(tmp_path: Path, content: bytes, zipped: bool):
    path = tmp_path / 'a.pth'
    if zipped:
        write_zip(path, {'data.pkl': b'\x80\x02' + content, 'version': b'3\n'})
    else:
        path.write_bytes(b'\x80\x02' + content)
    begun = time.process_time()
    refusal(path)
    assert time.process_time() - begun < 5


def test_a_storage_must_be_as_large_as_the_pickle_says(tmp_path: Path):
    torch.save({'params': {'a': torch.zeros(4)}}, tmp_path / 'a.pth')
    with zipfile.ZipFile(tmp_path / 'a.pth') as archive:
        entries = {name.partition('/')[2]: archive.read(name) for name in archive.namelist()}
    larger = entries['data.pkl'].replace(b'K\x04', b'J\x00\x00\x00\x10')
    write_zip(tmp_path / 'b.pth', entries | {'data.pkl': larger})
    assert 'data/0 has 16 bytes, not 1073741824' in refusal(tmp_path / 'b.pth')


def test_damage_in_the_weights_is_noticed(tmp_path: Path):
    path = tmp_path / 'a.pth'
    torch.save({'params': weights()}, path)
    content = bytearray(path.read_bytes())
    content[content.index(weights()['body.0.cam.norm1.weight'].numpy().tobytes()) + 3] ^= 64
    path.write_bytes(content)
    assert refusal(path) == 'damaged or not a checkpoint (BadZipFile)'


@pytest.mark.slow
@pytest.mark.parametrize(
    ('extra', 'message'),
    [
        ({'body.1000000000.x': torch.zeros(1)}, 'there is a block body.1000000000, but no block body.1'),
        ({f'body.{"9" * 5000}.x': torch.zeros(1)}, 'there is a block body.99999999999999999999, but no'),
        ({f'body.{n}.x': torch.zeros(1) for n in range(5000)}, 'tensors cannot form 5000 blocks'),
        ({'conv_first.weight': torch.zeros(1).expand(50_000, 3, 3, 3)}, '50000x3x3x3 elements in a storage of 1'),
        (
            {'conv_first.weight': torch.zeros(50_000, 3, 3, 3)},
            'conv_first.bias has the shape (16,); the other weights imply (50000,)',
        ),
        ({'body.0.units.0.sam.meso_layer.attn.position_bias': torch.zeros(199**2)}, 'window_size must be at most 32'),
        ({'conv_up.weight': torch.zeros(12, 16, 3, 0)}, 'conv_up.weight has the shape (12, 16, 3, 0); it should have'),
        ({'window': torch.zeros(5, 7)}, 'window has the shape (5, 7); the other weights imply (5, 5)'),
        ({'conv_first.weight': torch.zeros(())}, 'conv_first.weight has the shape (); it should have 4 dimensions'),
        ({'conv_first.bias': torch.zeros(16, dtype=torch.int64)}, 'conv_first.bias has the dtype torch.int64'),
        ({'\x1b[2J\n': torch.zeros(1)}, r'\x1b[2J is unexpected'),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_what_weights_say_costs_nothing(tmp_path: Path, extra: dict[str, Tensor], message: str):
    torch.save(weights() | extra, tmp_path / 'a.pth')
    begun = time.process_time()
    assert message in refusal(tmp_path / 'a.pth')
    assert time.process_time() - begun < 5


@pytest.mark.slow
@pytest.mark.parametrize('make', [weights, lambda: to_author_layout(weights())], ids=['ours', "authors'"])
def test_no_shape_of_any_weight_is_a_traceback(make: Callable[[], dict[str, Tensor]]):
    whole = make()
    shapes = itertools.cycle([(), (0,), (0, 1, 1, 1), (1, 0), (5, 7), (1,) * 6, (0,)])  # 7 do not work with 6 a layer
    for (key, value), shape in zip(whole.items(), shapes, strict=False):
        if value.shape != shape and not (key.endswith('temperature') and math.prod(shape) == 1):  # one number is one
            with pytest.raises(ValueError, match='.'):
                build(ASID, whole | {key: torch.zeros(shape)})


@pytest.mark.slow
@pytest.mark.parametrize('make', [omnisr, lambda: to_released_layout(omnisr())], ids=['ours', 'released'])
def test_nor_of_omnisr(make: Callable[[], dict[str, Tensor]]):
    whole = make()
    for key, shape in zip(whole, itertools.cycle([(), (0,), (0, 1, 1, 1)]), strict=False):
        with pytest.raises(ValueError, match='.'):
            build(OmniSR, whole | {key: torch.zeros(shape)})


def test_views_of_each_other_are_no_network(tmp_path: Path):
    """Tied weights are; a small file that holds one block a hundred times is not."""
    block = {key: value for key, value in weights(num_feat=64).items() if key.startswith('body.0.')}
    many = weights(num_feat=64) | {
        key.replace('body.0.', f'body.{n}.'): value for n in range(1, 100) for key, value in block.items()
    }
    torch.save(many, tmp_path / 'a.pth')
    assert 'its tensors overlap' in refusal(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    'content', [[], 'x', {'a': 1}, {1: {2: {3: 4}}}, {'params': None}, OrderedDict(), {'params': []}]
)
def test_no_state_dict(tmp_path: Path, content: object):
    torch.save(content, tmp_path / 'a.pth')
    assert refusal(tmp_path / 'a.pth').startswith(('no state dict in it', 'holds a '))


def test_what_holds_itself_is_refused(tmp_path: Path):
    content: dict[str, Any] = {'params': weights()}
    content['self'] = content
    torch.save(content, tmp_path / 'a.pth')
    assert 'its containers are nested more than 100 deep' in refusal(tmp_path / 'a.pth')


def prefixed(name: str, value: float) -> dict[str, Tensor]:
    return {name + key: torch.full_like(weight, value) for key, weight in weights().items()}


def wrapped(*names: str, value: float = 1) -> dict[str, Any]:
    content: dict[str, Any] = prefixed('', value)
    for name in reversed(names):
        content = {name: content}
    return content


@pytest.mark.parametrize(
    'content',
    [
        *(wrapped(name) for name in ('params', 'model', 'net', 'model_state_dict', 'params-ema', 'generator', 'net_g')),
        wrapped('ema_model'),
        wrapped('state_dict', 'params'),
        wrapped('state_dict', 'model', 'net_g'),
        {**wrapped('params', value=2), **wrapped('params_ema')},
        {**wrapped('params', value=2), **wrapped('params-ema')},
        {**wrapped('model', value=2), **wrapped('ema_model')},
        {'state_dict': prefixed('generator.', 2) | prefixed('generator_ema.', 1)},
        {**wrapped('state_dict'), 'ema_state_dict': prefixed('module.', 2)},
        prefixed('module.net_g.', 1) | {'discriminator.conv_first.weight': torch.zeros(1)},
        {**wrapped('net_g'), 'epoch': 3, 'optimizer': {'state': {0: {'exp_avg': torch.zeros(3)}}}},
    ],
    ids=lambda content: '+'.join(list(content)[:2]),
)
def test_one_network_is_found_behind_whatever_wrappers(tmp_path: Path, content: dict[str, Any]):
    torch.save(content, tmp_path / 'a.pth')
    read = read_state_dict(tmp_path / 'a.pth')
    assert read.keys() == weights().keys() and all(value.eq(1).all() for value in read.values())


@pytest.mark.parametrize(
    ('content', 'names'),
    [
        (prefixed('teacher.', 1) | prefixed('student.', 2), 'teacher, student'),
        ({**wrapped('teacher'), **wrapped('student_ema')}, 'teacher, student_ema'),
        ({**wrapped('params'), **wrapped('net')}, 'params, net'),
        ({**wrapped('params_ema'), **wrapped('params-ema')}, 'params_ema, params-ema'),
        (prefixed('', 1) | prefixed('teacher.', 2), '(without a name), teacher'),
        ({**wrapped('state_dict'), 'net': prefixed('\x1b[2J.', 1)}, r'state_dict, net.\x1b[2J'),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_several_networks_are_an_error_that_lists_them(tmp_path: Path, content: dict[str, Any], names: str):
    torch.save(content, tmp_path / 'a.pth')
    assert refusal(tmp_path / 'a.pth').startswith(f'several networks in it: {names}; save one of them')


def test_a_preferred_wrapper_counts(tmp_path: Path):
    torch.save({**wrapped('params', value=2), **wrapped('params_ema'), **wrapped('net', value=3)}, tmp_path / 'a.pth')
    for name, value in (('params', 2), ('params_ema', 1), ('net', 3)):
        assert read_state_dict(tmp_path / 'a.pth', name)['conv_first.bias'].eq(value).all()
    other = {'params': {'a': torch.zeros(1)}, 'params_ema': {'a': torch.ones(1)}, 'steps': {'a': torch.zeros(2)}}
    torch.save(other, tmp_path / 'b.pth')
    assert read_state_dict(tmp_path / 'b.pth')['a'] == 1 and read_state_dict(tmp_path / 'b.pth', 'params')['a'] == 0


@pytest.mark.parametrize('wrapper', ['params', 'params_ema'])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_neosrs_asid_is_refused_by_its_wrapper(tmp_path: Path, wrapper: str, prefix: str):
    theirs = {prefix + key: value for key, value in to_author_layout(weights()).items()}
    torch.save({wrapper: theirs}, tmp_path / 'a.pth')
    message = refusal(tmp_path / 'a.pth')
    assert message.startswith(f"the authors' keys under {wrapper} mean neosr's ASID, whose input range is [0, 1]")
    torch.save(theirs, tmp_path / 'b.pth')
    assert load_asid(tmp_path / 'b.pth').arguments['num_feat'] == 16


def test_and_by_the_position_biases_that_it_lacks(tmp_path: Path):
    theirs = {key: value for key, value in to_author_layout(weights()).items() if 'rel_pos_bias' not in key}
    save_file({key: value.contiguous() for key, value in theirs.items()}, tmp_path / 'a.safetensors')
    assert "mean neosr's ASID" in refusal(tmp_path / 'a.safetensors')


def test_an_older_state_of_sgd_without_momentum_is_one():
    parameter = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([parameter], 0.1)
    optimizer.load_state_dict({'state': {0: {'momentum_buffer': None}}, 'param_groups': [{'lr': 1, 'params': [0]}]})
    check_optimizer(optimizer)


@pytest.mark.parametrize(
    'change', [{'betas': 3}, {'betas': ('x', 1)}, {'eps': 'x'}, {'lr': None}, {'lr': [[]]}], ids=str
)
def test_and_its_settings_numbers(change: dict[str, object]):
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(3))])
    check_optimizer(optimizer)
    optimizer.param_groups[0].update(change)
    with pytest.raises(ValueError, match=f'{next(iter(change))} of an optimizer (is|has)'):
        check_optimizer(optimizer)


@pytest.mark.parametrize('value', [torch.zeros(2, 2), 'x', None, [1]], ids=str)
def test_the_state_of_an_optimizer_must_be_its_parameters(value: object):
    parameter = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.Adam([parameter])
    parameter.sum().backward()
    optimizer.step()
    check_optimizer(optimizer)
    optimizer.state[parameter]['exp_avg'] = value
    with pytest.raises(ValueError, match=r'exp_avg of an optimizer has the shape .*, but its weights have \(3,\)'):
        check_optimizer(optimizer)


OPTIMIZERS = {name: kind for name, kind in vars(torch.optim).items() if isinstance(kind, type)}
NO_STEP_OF_OURS = {'Optimizer', 'LBFGS', 'SparseAdam'}


@pytest.mark.filterwarnings('ignore')  # torch's, of options that it will rename
@pytest.mark.parametrize(
    ('name', 'shape'),
    [
        (name, shape)
        for name in sorted(OPTIMIZERS.keys() - NO_STEP_OF_OURS)
        for shape in ((), (3,), (2, 3), (2, 3, 1, 1))
        if name != 'Muon' or len(shape) == 2  # it takes matrices only
    ],
    ids=str,
)
def test_every_optimizer_of_torch_goes_on(name: str, shape: tuple[int, ...]):
    """Adafactor remembers other things of matrices than of vectors."""
    weight = torch.nn.Parameter(torch.zeros(shape))
    weight.grad = -torch.ones_like(weight)
    optimizer = OPTIMIZERS[name]([weight])
    optimizer.step()
    resumed = OPTIMIZERS[name]([weight])
    resumed.load_state_dict(optimizer.state_dict())
    check_optimizer(resumed)
    resumed.step()


@pytest.mark.parametrize(
    ('entry', 'value', 'message'),
    [
        ('Q', [], r'Q of an optimizer are not matrices of \(2, 3\)'),
        ('Q', None, 'Q of an optimizer are not matrices'),
        ('Q', [torch.zeros(2, 2), torch.zeros(3, 2)], 'Q of an optimizer are not matrices'),
        ('GG', [torch.zeros(2, 2), 'x'], 'GG of an optimizer are not matrices'),
        ('GG', [torch.zeros(2, 2), torch.zeros(3, 3, dtype=torch.int64)], 'GG of an optimizer are not matrices'),
        ('GG', [torch.zeros(2, 2), [0]], 'GG of an optimizer are not matrices'),
        ('GG', [torch.zeros(2, 2), []], ''),  # as of a dimension that is too large
        ('precondition_frequency', 0, 'precondition_frequency of an optimizer is 0'),
        ('precondition_frequency', 2.5, 'precondition_frequency of an optimizer is 2.5'),
        ('exp_avg', torch.zeros(3, 2), 'exp_avg of an optimizer has the shape'),
    ],
    ids=str,
)
def test_the_matrices_of_soap_are_those_of_its_weights(entry: str, value: object, message: str):
    pytest.importorskip('pytorch_optimizer')
    weight = torch.nn.Parameter(torch.zeros(2, 3))
    optimizer = soap([weight], lr=1e-3)
    for _ in range(2):
        weight.grad = torch.randn(2, 3)
        optimizer.step()
    check_optimizer(optimizer)
    optimizer.state[weight][entry] = value
    with pytest.raises(ValueError, match=message) if message else nullcontext():
        check_optimizer(optimizer)


@pytest.mark.parametrize('step', ['x', -1, 1.5, None], ids=str)
def test_the_steps_of_soap_are_a_count(step: object):
    pytest.importorskip('pytorch_optimizer')
    optimizer = soap([torch.nn.Parameter(torch.zeros(2, 3))], lr=1e-3)
    optimizer.param_groups[0]['step'] = step
    with pytest.raises(ValueError, match='step of an optimizer is'):
        check_optimizer(optimizer)


def nested(levels: int, width: int) -> object:
    value: object = 0
    for _ in range(levels):
        value = [value] * width
    return value


def holding_itself() -> object:
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (nested(40, 2), 'with repeated references'),
        (nested(7, 10), 'with repeated references'),
        ({'a': nested(40, 2), 'b': (nested(40, 2),)}, 'with repeated references'),
        (nested(101, 1), 'more than 100 deep'),
        (holding_itself(), 'more than 100 deep'),
        (nested(90, 1), ''),
        (nested(6, 9), ''),
    ],
    ids=['pairs', 'tens', 'in a dict', 'deep', 'in itself', 'not so deep', 'half a million'],
)
@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'old'])
def test_containers_that_nobody_could_walk_through(tmp_path: Path, value: object, message: str, zipped: bool):
    torch.save({'state_dict': {}, 'optimizers': value}, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    begun = time.process_time()
    with pytest.raises(pickle.UnpicklingError, match=message) if message else nullcontext():
        load_pickled(tmp_path / 'a.pth')
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda state: state.pop('exp_avg_sq'), 'exp_avg_sq of an optimizer is missing'),
        (lambda state: state.update(step=torch.tensor(True)), 'step of an optimizer has the dtype torch.bool'),
        (lambda state: state.update(exp_avg=torch.zeros(2, dtype=torch.int64)), 'exp_avg of an optimizer (is|has)'),
        (lambda state: state.update(step=torch.ones(2)), 'step of an optimizer is .*, not a non-negative number'),
        (lambda state: state.update(step=torch.tensor(-1.0)), 'step of an optimizer is .*, not a non-negative number'),
        (lambda state: state.update(step=float('nan')), 'step of an optimizer is nan, not a non-negative number'),
        (lambda state: state.update(step='1'), "step of an optimizer is '1', not a non-negative number"),
        (lambda state: state.update(step=torch.tensor([1.0])), ''),
        (lambda state: state.update(step=1), ''),  # as older torch saves it
        (lambda state: state.clear(), ''),  # of a weight that has had no gradient
        (lambda state: state, ''),
    ],
    ids=['missing', 'bool', 'integers', 'two', 'below', 'nan', 'text', 'in a list', 'number', 'none', 'whole'],
)
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('kind', ['Adam', 'AdamW', 'NAdam'])
def test_the_state_of_an_optimizer_is_whole(
    change: Callable[[Any], object], message: str, dtype: torch.dtype, kind: str
):
    weight = torch.nn.Parameter(torch.zeros(2, dtype=dtype))
    weight.grad = torch.ones_like(weight)
    optimizer = OPTIMIZERS[kind]([weight])
    optimizer.step()
    change(optimizer.state[weight])
    with pytest.raises(ValueError, match=message) if message else nullcontext():
        check_optimizer(optimizer)

"""Damaged LMDBs: the check before a run and the training's reading by BasicSR's way and MMEngine's.

With checksums, in PNG files or beside raw pixels, no other picture is read; raw pixels without them, as LMDBs of older
versions are, end nothing by a crash.
"""

import random
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

import asid_plugin  # noqa: F401  # before BasicSR

# isort: split
from basicsr.data import build_dataset

from asid_plugin.mmengine.dataset import PairedImageDataset
from asid_plugin.mmengine.transforms import LoadImagePair
from asid_plugin.options.images import Share, count_pairs
from asid_plugin.pairs.meta_info import CHECKSUMS, META_INFO
from asid_plugin.prepare import sub_images
from helpers import write_pairs

from .damage import DAMAGES, count
from .figures import Row
from .trials import attempt

LONG, SHORT = 84, 3
"""Trials of each way."""
ROOTS = {
    'PNG': {'gt': 'x_HR_sub.lmdb', 'lq': 'x_LR_bicubic_X2_sub.lmdb'},
    'raw': {'gt': 'x_HR_sub_raw.lmdb', 'lq': 'x_LR_bicubic_X2_sub_raw.lmdb'},
}
Pictures = list[NDArray[np.uint8]]


def run(folder: Path, seed: int, long: bool) -> Iterator[Row]:
    """Damage a file of a pair of LMDBs, check them, and read all images."""
    torch.set_num_threads(1)
    whole = folder / 'whole'
    write_pairs(folder / 'photographs', 3, size=96)
    sub_images.prepare(folder / 'photographs' / 'GT', whole, 'x', scales=[2], crop_size=64, step=32, raw=True)
    for host, read in (('BasicSR', _by_basicsr), ('MMEngine', _by_mmengine)):
        for kind in ('PNG', 'raw', 'raw without checksums'):
            way = f'lmdbs: {host}, {kind}'
            roots, rng, row = ROOTS[kind[:3]], random.Random(f'{seed} {way}'), Row(way)
            truth = read({key: str(whole / name) for key, name in roots.items()})
            for number in tqdm(range(LONG if long else SHORT), desc=way, file=sys.stderr, disable=not long):
                place = folder / f'{host} {kind} {number}'
                for name in roots.values():
                    shutil.copytree(whole / name, place / name)
                    if kind.endswith('without checksums'):
                        (place / name / CHECKSUMS).unlink()
                name = rng.choice(list(roots.values()))
                damaged = _damage(place / name, rng)
                outcome = attempt(partial(_reads_right, read, roots, truth), place)
                count(row, outcome, f'seed {seed}, {number}: {damaged}', name, promised='without' not in kind)
                shutil.rmtree(place)
            yield row


def _damage(root: Path, rng: random.Random) -> str:
    """Damage one of an LMDB's files; returns in words how."""
    texts = [name for name in (META_INFO, CHECKSUMS) if (root / name).exists()]
    if rng.random() < 0.25:
        path, table = root / rng.choice(texts), DAMAGES | _OF_TEXTS
    else:
        path, table = root / 'data.mdb', DAMAGES | _OF_PAGES
    name = rng.choice(list(table))
    path.write_bytes(table[name](path.read_bytes(), rng))
    return f'{name} of {root.name}/{path.name}'


def _in_a_page(content: bytes, rng: random.Random, offsets: range) -> bytes:
    """One byte changed in the head of a page, by which lmdb finds its way."""
    at = rng.randrange(len(content) // 4096) * 4096 + rng.choice(offsets)
    return content[:at] + rng.randbytes(1) + content[at + 1 :]


def _blank_line(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    lines.insert(rng.randrange(len(lines) + 1), b'\n')
    return b''.join(lines)


def _line_again(content: bytes, rng: random.Random) -> bytes:
    return content + rng.choice(content.splitlines(keepends=True))


def _line_gone(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    return b''.join(lines)


_Damage = Callable[[bytes, random.Random], bytes]
_OF_PAGES: dict[str, _Damage] = {
    'head of a page': partial(_in_a_page, offsets=range(16)),
    'nodes of a page': partial(_in_a_page, offsets=range(16, 64)),
    'head of the first page': lambda content, rng: _in_a_page(content[:4096], rng, range(136)) + content[4096:],
}
_OF_TEXTS: dict[str, _Damage] = {
    'byte order mark': lambda content, rng: '\ufeff'.encode() + content,
    'UTF-16': lambda content, rng: content.decode().encode('utf-16'),
    'blank line': _blank_line,
    'line again': _line_again,
    'line gone': _line_gone,
    'Windows line ends': lambda content, rng: content.replace(b'\n', b'\r\n'),
}


def _reads_right(read: Callable[[dict[str, str]], Pictures], roots: dict[str, str], truth: Pictures) -> bool:
    found = read(roots)
    return len(found) == len(truth) and all(map(np.array_equal, found, truth))


def _by_basicsr(roots: dict[str, str]) -> Pictures:
    raw = 'raw' in roots['gt']
    dataset = {
        'type': 'RawPairedImageDataset' if raw else 'PairedImageDataset',
        'phase': 'val',
        'scale': 2,
        'name': 'x',
    }
    dataset |= {f'dataroot_{key}': root for key, root in roots.items()} | {'io_backend': {'type': 'lmdb'}}
    count_pairs(Path(roots['gt']), Path(roots['lq']), dataset, Share())
    pairs = build_dataset(dataset)
    samples = (pairs[index] for index in range(len(pairs)))
    return [sample[key].mul(255).round().byte().numpy() for sample in samples for key in ('gt', 'lq')]


def _by_mmengine(roots: dict[str, str]) -> Pictures:
    cv2.setNumThreads(1)
    pairs = PairedImageDataset(2, data_prefix=roots, pipeline=[LoadImagePair()], test_mode=True)
    samples = (pairs[index] for index in range(len(pairs)))
    return [sample[key] for sample in samples for key in ('gt', 'lq')]

"""Count the samples a second that a data loader with one worker gives: BasicSR's dataset against the fast ones.

    python scripts/maintain/benchmark_data.py          # 64x64 LR patches at x2, from sub-images of 480x480

The sub-images are those of scikit-image's photographs, made in a temporary folder. Quote the ratio, which is the median
over rounds in which every dataset had its turn.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from torch.utils.data import ConcatDataset
from tqdm import tqdm

from asid_plugin import markdown
from asid_plugin.prepare.demo import TRAIN, load, update_png
from asid_plugin.prepare.sub_images import prepare

# isort: split
from basicsr.data import build_dataloader, build_dataset

YARDSTICK = 'PairedImageDataset'
TYPES = (YARDSTICK, 'RawPairedImageDataset', 'CachedPairedImageDataset')


def options(root: Path, kind: str) -> dict:
    """The options of a training dataset of this type, as an option file has them."""
    raw = '_raw' if kind == 'RawPairedImageDataset' else ''
    return {
        'name': kind,
        'type': kind,
        'phase': 'train',
        'scale': 2,
        'dataroot_gt': str(root / f'x_HR_sub{raw}.lmdb'),
        'dataroot_lq': str(root / f'x_LR_bicubic_X2_sub{raw}.lmdb'),
        'io_backend': {'type': 'lmdb'},
        'gt_size': 128,
        'use_hflip': True,
        'use_rot': True,
        'num_worker_per_gpu': 1,
        'batch_size_per_gpu': 16,
    }


def samples_a_second(opt: dict, num_batches: int) -> float:
    """Take batches from a loader; the first, for which the worker is started, does not count."""
    dataset = build_dataset(opt)
    enlarged = ConcatDataset([dataset] * -(-16 * (num_batches + 2) // len(dataset)))
    batches = iter(build_dataloader(enlarged, opt, seed=0))
    next(batches)
    start = time.perf_counter()
    for _ in range(num_batches):
        next(batches)
    return 16 * num_batches / (time.perf_counter() - start)


def measured(repeat: int, num_batches: int = 20, num_fast_batches: int = 100) -> tuple[list[str], list[list[str]]]:
    """Measure in `repeat` rounds of so many batches, more of the fast datasets; header and rows of a table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with redirect_stdout(StringIO()):
            (root / 'HR').mkdir()
            for name in TRAIN:
                if min(load(name).shape[:2]) >= 480:
                    update_png(root / 'HR' / f'{name}.png', load(name))
            prepare(root / 'HR', root, 'x', scales=[2], raw=True)
        rates: dict[str, list[float]] = {kind: [] for kind in TYPES}
        for _ in tqdm(range(repeat), unit='round', leave=False):
            for kind in TYPES:
                rates[kind].append(
                    samples_a_second(options(root, kind), num_batches if kind == YARDSTICK else num_fast_batches)
                )
    rows = []
    for kind, found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(found, rates[YARDSTICK], strict=True))
        rows.append([kind, f'{statistics.median(found):.0f}', f'{min(found):.0f} to {max(found):.0f}', f'{ratio:.1f}'])
    return ['dataset', 'median samples/s', 'min to max', f'of {YARDSTICK}'], rows


def table(repeat: int) -> str:
    """Measure in `repeat` rounds; a Markdown table."""
    return markdown.table(*measured(repeat))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeat', type=int, default=5, help='rounds (default: 5)')
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(table(args.repeat))


if __name__ == '__main__':
    main()

"""Check the metrics of a validation on its images."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from basicsr.utils import scandir
from basicsr.utils.registry import METRIC_REGISTRY

from asid_plugin.errors import ASIDError
from asid_plugin.images import read_header
from asid_plugin.pairs.meta_info import read_shapes

from .basicsr_keys import PAIRED, DatasetOptions
from .building import refused
from .problems import Options, Problem, mapping
from .schema import registered
from .signatures import is_known, needed

ENOUGH = 512
"""Largest tested side without the border, in pixels; larger images behave alike."""


def check_metrics(opt: Options) -> Iterator[Problem]:
    """Check every metric on an image of the size of the smallest one in the validation."""
    metrics = {name: dict(metric) for name, metric in mapping(opt, 'val', 'metrics').items()}
    known = registered(METRIC_REGISTRY)
    ready = {name: metric for name, metric in metrics.items() if is_known(known.get(str(metric.get('type')), dict))}
    smallest = min((size for size in _smallest_sizes(opt) if ready), default=None, key=lambda size: min(size[:2]))
    if smallest is None:
        return
    for name, metric in ready.items():
        key, kind, border = ('val', 'metrics', name), str(metric.pop('type')), metric.get('crop_border', 0)
        metric.pop('better', None)
        if not needed(known[kind]) <= metric.keys() | {'img', 'img2'}:
            continue
        height, width, file = smallest
        if min(height, width) <= 2 * border:
            yield Problem((*key, 'crop_border'), f'{border} leaves no pixels of {file}, {width}x{height} pixels')
            continue
        yield from _try(key, kind, metric, [min(side, ENOUGH + 2 * border) for side in (height, width)], file)


def _try(key: tuple[str, ...], kind: str, arguments: Options, size: list[int], file: str) -> Iterator[Problem]:
    random = np.random.default_rng(0)
    images = {name: random.integers(0, 256, (*size, 3), np.uint8) for name in ('img', 'img2')}
    try:
        with np.errstate(all='ignore'), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            value = float(registered(METRIC_REGISTRY)[kind](**images, **arguments))
    except Exception as error:  # a metric may raise any error on unsuitable images
        yield refused(key, f'{kind} cannot measure {file}', error)
        return
    if np.isnan(value):
        yield Problem(key, f'{kind} cannot measure {file}, which is too small')


def _smallest_sizes(opt: Options) -> Iterator[tuple[int, int, str]]:
    """Height, width and name of the smallest GT image of each dataset of pairs for validation or testing."""
    scale = opt.get('scale', 1)
    for dataset in mapping(opt, 'datasets').values():
        if (
            dataset.get('type') not in PAIRED
            or dataset['phase'] == 'train'
            or not {'dataroot_gt', 'io_backend'} <= dataset.keys()
        ):
            continue
        try:
            sizes = list(_sizes(dataset))
        except (ASIDError, OSError, ValueError):
            continue  # reported by check_datasets
        if sizes:
            height, width, file = min(sizes, key=lambda size: min(size[:2]))
            yield height // scale * scale, width // scale * scale, file


def _sizes(dataset: Options) -> Iterator[tuple[int, int, str]]:
    root, listed = Path(dataset['dataroot_gt']), DatasetOptions(dataset).meta_info_file
    if dataset['io_backend']['type'] == 'lmdb':
        shapes: dict[str, Any] = read_shapes(root)[0]
        yield from ((height, width, f'{root / name}') for name, (height, width, _) in shapes.items())
        return
    for name in [line.split(' ')[0] for line in Path(listed).read_text().splitlines()] if listed else scandir(root):
        header = read_header(root / name)
        yield header.height, header.width, f'{root / name}'

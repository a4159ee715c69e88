"""Check a config before its run starts, with all its weights and images."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from asid_plugin.checkpoints import is_packaged
from asid_plugin.mmengine.dataset import DatasetError, PairedImageDataset, too_few
from asid_plugin.mmengine.registry import DATASETS
from asid_plugin.options.compiling import check_arguments


def check_config(cfg: Config, *loaders: str) -> None:
    """Check the weights, images and compilation of a config before anything is written.

    Args:
        cfg: The config.
        *loaders: Names of the data loaders to check; with 'train_dataloader', the run is a training.

    Raises:
        DatasetError: A file is missing or unusable; the message has a line for each fault, with its key.
    """
    faults = [*_lacking_weights(cfg), *_compile_faults(cfg, 'train_dataloader' in loaders)]
    for loader in filter(cfg.get, loaders):
        faults += [f'{loader}: {fault}' for fault in _faults(cfg[loader])]
    if faults:
        raise DatasetError(*dict.fromkeys(faults))


def _lacking_weights(cfg: Config) -> Iterator[str]:
    model = cfg.get('model') or {}
    for key, path in (('load_from', cfg.get('load_from')), ('model.pretrained', model.get('pretrained'))):
        if not path:
            continue
        if not isinstance(path, str):
            yield f'{key}: {path!r} is not a path'
        elif not (is_packaged(path) or re.match(r'[\w-]{2,}:', path) or Path(path).expanduser().is_file()):
            yield f'{key}: {path}: no such file'


def _compile_faults(cfg: Config, is_training: bool) -> Iterator[str]:
    arguments, key = cfg.get('compile'), 'accumulative_counts'
    if isinstance(arguments, Mapping):
        parts = cfg.optim_wrapper.get(key, 1) if is_training else 1
        yield from map(str, check_arguments(arguments, f'optim_wrapper:{key}', parts))
    elif not (arguments is None or isinstance(arguments, bool)):
        yield f'compile: {arguments!r} should be true, false, or a dict of the arguments of torch.compile'


def _faults(loader: Mapping[str, Any]) -> Iterator[str]:
    """The faults of the datasets and the batch of a data loader."""
    whole = loader['dataset']
    sections = [*_sections(whole)]
    names = Counter(section.get('name', '') for section in sections if section.get('test_mode'))
    for name, count in names.items():
        if count > 1:
            yield f'{count} data sets have the name {name!r}, which also names their figures and images; rename them'
    for section in sections:
        try:
            dataset = DATASETS.build({**section, '_scope_': 'asid', 'lazy_init': False})
        except DatasetError as error:
            yield from error.args
            continue
        ranks, batch = int(os.environ.get('WORLD_SIZE', '1')), loader.get('batch_size', 1)
        if section is whole and loader.get('drop_last') and len(dataset) <= ranks * (batch - 1):
            yield too_few(len(dataset), batch)


def _sections(section: Any) -> Iterator[Mapping[str, Any]]:
    """The sections of our datasets, inside any wrappers."""
    if isinstance(section, Mapping):
        if section.get('type') in _OURS:
            yield section
        for name in ('dataset', 'datasets'):
            yield from _sections(section.get(name))
    elif isinstance(section, list | tuple):
        for each in section:
            yield from _sections(each)


_OURS = (PairedImageDataset, PairedImageDataset.__name__, f'asid.{PairedImageDataset.__name__}')

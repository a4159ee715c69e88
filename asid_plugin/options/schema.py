"""The JSON Schema of option files: what is written in `rules`, and the signatures of whatever is registered.

`schema.json` is what it is without anybody else's parts; editors read that (`python -m asid_plugin.options`).
"""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from basicsr.models import lr_scheduler
from basicsr.utils.registry import (
    ARCH_REGISTRY,
    DATASET_REGISTRY,
    LOSS_REGISTRY,
    METRIC_REGISTRY,
    MODEL_REGISTRY,
    Registry,
)

from . import rules
from .rules import SECTION
from .signatures import Schema, component, of_type

# Models whose every key is known here. Of others (GANs, say) only the parts that all models share are checked.
KNOWN_MODELS = ('ASIDModel', 'SRModel', 'SwinIRModel')
PAIRED = ('PairedImageDataset', 'CachedPairedImageDataset', 'RawPairedImageDataset')
_NO_OPTIMIZERS = ('Optimizer', 'LBFGS', 'SparseAdam')  # the base, and two that want another loop or other gradients
OPTIMIZERS = {k: v for k, v in vars(torch.optim).items() if inspect.isclass(v) and k not in _NO_OPTIMIZERS}
SCHEDULERS = {
    'MultiStepLR': lr_scheduler.MultiStepRestartLR,
    'MultiStepRestartLR': lr_scheduler.MultiStepRestartLR,
    'CosineAnnealingRestartLR': lr_scheduler.CosineAnnealingRestartLR,
}
SHIPPED = Path(__file__).with_name('schema.json')
ONLY_ASID = 'read by ASIDModel only'


def registered(registry: Registry) -> dict[str, Callable]:
    """What one of BasicSR's registries holds, by every name under which it is found there."""
    items = list(registry)
    return {name.removesuffix('_basicsr'): item for name, item in items} | dict(items)


def options_schema(is_train: bool | None = None) -> Schema:
    """Schema (draft 7) of the options in a YAML file.

    Args:
        is_train: For training or for testing; if None, a file that has a section `train` is for training.
    """
    phases = {True: rules.refer('training'), False: rules.refer('testing')}
    by_file = {'if': {'required': ['train']}, 'then': phases[True], 'else': phases[False]}
    return {
        '$schema': 'http://json-schema.org/draft-07/schema#',
        'description': 'Options of BasicSR with asid_plugin, for training or for testing.',
        **SECTION,
        'required': ['name', 'model_type', 'scale', 'num_gpu', 'datasets', 'network_g', 'path'],
        'properties': {
            **rules.GENERAL,
            'path': {**rules.GENERAL['path'], 'properties': rules.PATH},
            **rules.ASID_GENERAL,
        },
        'allOf': [*_by_model(), by_file if is_train is None else phases[is_train]],
        'definitions': _definitions(),
    }


def to_json() -> str:
    """The schema as it is written to a file; its optimizers are those of the installed torch."""
    return json.dumps(options_schema(), indent=1, ensure_ascii=False) + '\n'


def network_schema() -> Schema:
    """Schema of the section `network_g` alone."""
    return component(registered(ARCH_REGISTRY))


def _definitions() -> dict[str, Schema]:
    return {
        'model': {'enum': sorted(registered(MODEL_REGISTRY))},
        'network': network_schema(),
        'loss': component(registered(LOSS_REGISTRY)),
        'scheduler': component(SCHEDULERS, given=['optimizer']),
        'metric': component(registered(METRIC_REGISTRY), given=['img', 'img2'], extra={'better': rules.BETTER}),
        'adam': _optimizers(['Adam']),
        'optimizer': _optimizers(OPTIMIZERS),
        'training': _training(),
        'testing': _testing(),
    }


def _optimizers(names: Iterable[str]) -> Schema:
    lr = {'required': ['lr'], 'errorMessage': 'missing; the learning rate'}
    schema = component({name: OPTIMIZERS[name] for name in names}, given=['params'])
    return {**schema, 'allOf': [lr, *schema['allOf']]}


def _training() -> Schema:
    needs = ['gt_size', 'use_hflip', 'use_rot', 'num_worker_per_gpu', 'batch_size_per_gpu']
    train = {
        **SECTION,
        'required': ['optim_g', 'scheduler', 'total_iter'],
        'properties': {**rules.TRAIN, **rules.ASID_TRAIN},
    }
    logger = {
        **SECTION,
        'required': ['print_freq', 'save_checkpoint_freq', 'use_tb_logger'],
        'properties': {**rules.LOGGER, **rules.ASID_LOGGER},
        'additionalProperties': False,
    }
    datasets = _datasets({'train': needs, 'val(_.*)?': ()}, 'training, which knows train and val (val_1, val_2 ...)')
    datasets['allOf'] = [{'title': 'training', 'required': ['train']}]
    val = {'required': ['save_img', 'val_freq'], 'properties': {**rules.VAL, **rules.ASID_VAL}}
    return {
        'required': ['train', 'logger'],
        'properties': {'datasets': datasets, 'train': train, 'val': val, 'logger': logger},
    }


def _testing() -> Schema:
    writes = {'required': ['save_img'], 'properties': {'save_img': {'const': True}}}
    val = {
        **SECTION,
        'required': ['save_img'],
        'properties': {**rules.VAL, **rules.ASID_VAL},
        'if': writes,
        'then': {'required': ['suffix'], 'properties': {'suffix': rules.VAL['suffix']}},
    }
    datasets = _datasets({'test(_.*)?|val(_.*)?': ()}, 'testing, which knows test and val (test_1, test_2 ...)')
    return {'required': ['val'], 'properties': {'datasets': datasets, 'val': val}}


def _datasets(names: Mapping[str, Iterable[str]], phase: str) -> Schema:
    """Schema of the section `datasets`.

    Args:
        names: Patterns of the datasets' names, and which keys a paired dataset of this name needs besides those that
            all need.
        phase: What they are for, in words.
    """
    return {
        'patternProperties': {f'^({name})$': _dataset(needs) for name, needs in names.items()},
        'propertyNames': {'pattern': f'^({"|".join(names)})$', 'errorMessage': f'not for {phase}'},
    }


def _dataset(needs: Iterable[str]) -> Schema:
    paired = {
        'required': ['name', 'dataroot_gt', 'dataroot_lq', 'io_backend', *needs],
        'properties': {'type': {}, **rules.DATASET},
        'additionalProperties': False,
    }
    return {
        **SECTION,
        'required': ['type'],
        'properties': {'type': {'enum': sorted(registered(DATASET_REGISTRY))}},
        'if': of_type(PAIRED),  # what another class reads, only that class knows
        'then': paired,
    }


def _by_model() -> list[Schema]:
    """What depends on `model_type`: the keys that there are, those that are read, and the optimizers."""
    models = registered(MODEL_REGISTRY)
    basicsr = [name for name, model in models.items() if model.__module__.startswith('basicsr.')]
    sections = {
        'path': _closed(rules.PATH),
        'train': _closed(rules.TRAIN | rules.ASID_TRAIN),
        'val': _closed(rules.VAL | rules.ASID_VAL),
    }
    closed = _closed(rules.GENERAL | rules.ASID_GENERAL)
    closed['properties'] |= sections
    return [
        {'if': of_type(models.keys() - KNOWN_MODELS, 'model_type'), 'else': closed},
        {
            'if': of_type(basicsr, 'model_type'),
            'then': _without_asid(),
            'else': {'properties': {'train': {'properties': {'optim_g': rules.refer('optimizer')}}}},
        },
    ]


def _closed(names: Iterable[str]) -> Schema:
    """Schema of a section that has no other keys than these."""
    return {'properties': dict.fromkeys(names, True), 'additionalProperties': False}


def _without_asid() -> Schema:
    """Schema for BasicSR's own models, which know no optimizer but Adam, and nothing of what `ASIDModel` adds."""
    unread = {'enum': [None, False, 0], 'errorMessage': ONLY_ASID}
    general, train, val, logger = (
        dict.fromkeys(keys, unread)
        for keys in (rules.ASID_GENERAL, rules.ASID_TRAIN, rules.ASID_VAL, rules.ASID_LOGGER)
    )
    train['optim_g'] = rules.refer('adam')
    sections = {'train': train, 'val': val, 'logger': logger}
    return {'properties': {**general, **{name: {'properties': keys} for name, keys in sections.items()}}}

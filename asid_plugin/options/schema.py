"""The JSON Schema of option files: the keys that are declared, and the signatures of whatever is registered.

`schema.json` is what it is without anybody else's parts; editors read that (`asid schema`).
"""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

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

from .asid_keys import ASIDGeneralOptions, ASIDLoggerOptions, ASIDTrainOptions, ASIDValOptions
from .basicsr_keys import (
    PAIRED,
    DatasetOptions,
    DistOptions,
    GeneralOptions,
    LoggerOptions,
    MetricOptions,
    PathOptions,
    TrainOptions,
    ValOptions,
)
from .declaration import Needed, Section
from .kinds import SECTION, Schema, refer
from .signatures import component, of_type

# Models whose every key is known here. Of others (GANs, say) only the parts that all models share are checked.
KNOWN_MODELS = ('ASIDModel', 'SRModel', 'SwinIRModel')
_NO_OPTIMIZERS = ('Optimizer', 'LBFGS', 'SparseAdam')  # the base, and two that want another loop or other gradients
OPTIMIZERS: dict[str, Callable[..., Any]] = {
    k: v for k, v in vars(torch.optim).items() if inspect.isclass(v) and k not in _NO_OPTIMIZERS
}
SCHEDULERS = {
    'MultiStepLR': lr_scheduler.MultiStepRestartLR,
    'MultiStepRestartLR': lr_scheduler.MultiStepRestartLR,
    'CosineAnnealingRestartLR': lr_scheduler.CosineAnnealingRestartLR,
}
SHIPPED = Path(__file__).with_name('schema.json')
ONLY_ASID = 'read by ASIDModel only'
_SECTION = SECTION.schema


def registered(registry: Registry) -> dict[str, Callable[..., Any]]:
    """The classes and functions in one of BasicSR's registries, by every name that finds them there."""
    items = list(registry)
    return {name.removesuffix('_basicsr'): item for name, item in items} | dict(items)


def options_schema(is_train: bool | None = None) -> Schema:
    """Schema (draft 7) of the options in a YAML file.

    Args:
        is_train: For training or for testing; if None, a file that has a section `train` is for training.
    """
    phases = {True: refer('training'), False: refer('testing')}
    by_file = {'if': {'required': ['train']}, 'then': phases[True], 'else': phases[False]}
    general = _properties(GeneralOptions, ASIDGeneralOptions)
    general['path'] = {**general['path'], 'properties': _properties(PathOptions)}
    general['dist_params'] = {**general['dist_params'], 'properties': _properties(DistOptions)}
    return {
        '$schema': 'http://json-schema.org/draft-07/schema#',
        'description': 'Options of BasicSR with asid_plugin, for training or for testing.',
        **_SECTION,
        'required': GeneralOptions.needed(Needed.ALWAYS),
        'properties': general,
        'allOf': [*_by_model(), by_file if is_train is None else phases[is_train]],
        'definitions': _definitions(),
    }


def to_json() -> str:
    """The schema as it is written to a file; its optimizers are those of the installed torch."""
    return json.dumps(options_schema(), indent=1, ensure_ascii=False) + '\n'


def network_schema() -> Schema:
    """Schema of the section `network_g` alone."""
    return component(registered(ARCH_REGISTRY))


def _properties(*sections: type[Section]) -> dict[str, Schema]:
    """Schemas of all keys of some sections."""
    return {name: schema for section in sections for name, schema in section.properties().items()}


def _definitions() -> dict[str, Schema]:
    return {
        'model': {'enum': sorted(registered(MODEL_REGISTRY))},
        'network': network_schema(),
        'loss': component(registered(LOSS_REGISTRY)),
        'scheduler': component(SCHEDULERS, given=['optimizer']),
        'metric': component(registered(METRIC_REGISTRY), given=['img', 'img2'], extra=_properties(MetricOptions)),
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
    now = (Needed.ALWAYS, Needed.TRAINING)
    datasets = _datasets({'train': now, 'val(_.*)?': now[:1]}, 'training, which knows train and val (val_1, val_2 ...)')
    datasets['allOf'] = [{'title': 'training', 'required': ['train']}]
    train = {
        **_SECTION,
        'required': TrainOptions.needed(*now),
        'properties': _properties(TrainOptions, ASIDTrainOptions),
    }
    val = {'required': ValOptions.needed(*now), 'properties': _properties(ValOptions, ASIDValOptions)}
    logger = {
        **_SECTION,
        'required': LoggerOptions.needed(*now),
        'properties': _properties(LoggerOptions, ASIDLoggerOptions),
        'additionalProperties': False,
    }
    return {
        'required': GeneralOptions.needed(Needed.TRAINING),
        'properties': {'datasets': datasets, 'train': train, 'val': val, 'logger': logger},
    }


def _testing() -> Schema:
    writes = {'required': ['save_img'], 'properties': {'save_img': {'const': True}}}
    now = (Needed.ALWAYS, Needed.TESTING)
    val = {
        **_SECTION,
        'required': ValOptions.needed(*now),
        'properties': _properties(ValOptions, ASIDValOptions),
        'if': writes,
        'then': {'required': ['suffix'], 'properties': {'suffix': ValOptions.suffix.schema}},
    }
    datasets = _datasets({'test(_.*)?|val(_.*)?': now}, 'testing, which knows test and val (test_1, test_2 ...)')
    return {'required': GeneralOptions.needed(Needed.TESTING), 'properties': {'datasets': datasets, 'val': val}}


def _datasets(names: Mapping[str, Iterable[Needed]], phase: str) -> Schema:
    """Schema of the section `datasets`.

    Args:
        names: Patterns of the datasets' names, and when the keys are needed that a paired dataset of this name needs.
        phase: What they are for, in words.
    """
    return {
        'patternProperties': {f'^({name})$': _dataset(when) for name, when in names.items()},
        'propertyNames': {'pattern': f'^({"|".join(names)})$', 'errorMessage': f'not for {phase}'},
    }


def _dataset(when: Iterable[Needed]) -> Schema:
    paired = {
        'required': DatasetOptions.needed(*when),
        'properties': _properties(DatasetOptions),
        'additionalProperties': False,
    }
    return {
        **_SECTION,
        'required': ['type'],
        'properties': {'type': {'enum': sorted(registered(DATASET_REGISTRY))}},
        'if': of_type(PAIRED),  # what another class reads, only that class knows
        'then': paired,
    }


def _by_model() -> list[Schema]:
    """The rules that depend on `model_type`: known keys, keys that are read, and optimizers."""
    models = registered(MODEL_REGISTRY)
    basicsr = [name for name, model in models.items() if model.__module__.startswith('basicsr.')]
    closed = _closed(GeneralOptions, ASIDGeneralOptions)
    closed['properties'] |= {
        'path': _closed(PathOptions),
        'dist_params': _closed(DistOptions),
        'train': _closed(TrainOptions, ASIDTrainOptions),
        'val': _closed(ValOptions, ASIDValOptions),
    }
    return [
        {'if': of_type(models.keys() - KNOWN_MODELS, 'model_type'), 'else': closed},
        {
            'if': of_type(basicsr, 'model_type'),
            'then': _without_asid(),
            'else': {'properties': {'train': {'properties': {'optim_g': refer('optimizer')}}}},
        },
    ]


def _closed(*sections: type[Section]) -> Schema:
    """Schema of a section that has no other keys than these."""
    return {'properties': dict.fromkeys(_properties(*sections), True), 'additionalProperties': False}


def _without_asid() -> Schema:
    """Schema for BasicSR's own models, which know no optimizer but Adam, and nothing of what `ASIDModel` adds."""
    unread = {'enum': [None, False, 0], 'errorMessage': ONLY_ASID}
    general, train, val, logger = (
        dict.fromkeys(section.declared(), unread)
        for section in (ASIDGeneralOptions, ASIDTrainOptions, ASIDValOptions, ASIDLoggerOptions)
    )
    train['optim_g'] = refer('adam')
    sections = {'train': train, 'val': val, 'logger': logger}
    return {'properties': {**general, **{name: {'properties': keys} for name, keys in sections.items()}}}

"""The JSON Schema of option files: the declared keys, and the signatures of all registered classes and functions.

`schema.json` is the schema without classes of other packages, for editors (`asid schema`).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from basicsr.models import lr_scheduler
from basicsr.utils.registry import (
    ARCH_REGISTRY,
    DATASET_REGISTRY,
    LOSS_REGISTRY,
    METRIC_REGISTRY,
    MODEL_REGISTRY,
    Registry,
)

from .asid_keys import (
    ASID_SECTIONS,
    ASIDGeneralOptions,
    ASIDLoggerOptions,
    ASIDTrainOptions,
    ASIDValOptions,
    DetailOptions,
)
from .basicsr_keys import (
    BASICSR_PAIRED,
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
from .degraded_keys import DEGRADED_IMAGES, DegradedImageOptions
from .kinds import SECTION, Schema, refer
from .optimizers import OPTIMIZERS
from .real_world_keys import (
    DEGRADED,
    LOADED,
    REAL_PAIRED,
    REAL_WORLD_SECTIONS,
    DegradationOptions,
    DegradedDatasetOptions,
    RealESRNetOptions,
    RealPairedDatasetOptions,
)
from .sections import ADDED
from .signatures import component, of_type

# Models with known keys. For others, such as video models, only the common keys are checked.
KNOWN_MODELS = (
    *('ASIDModel', 'ESRGANModel', 'RealESRGANModel', 'RealESRNetModel', 'SRGANModel', 'SRModel', 'SwinIRModel'),
)
SCHEDULERS = {
    'MultiStepLR': lr_scheduler.MultiStepRestartLR,
    'MultiStepRestartLR': lr_scheduler.MultiStepRestartLR,
    'CosineAnnealingRestartLR': lr_scheduler.CosineAnnealingRestartLR,
}
SHIPPED = Path(__file__).with_name('schema.json')
READ_BY = 'read by '
"""Beginning of the message on a key of other models."""
_SECTION = SECTION.schema


def registered(registry: Registry) -> dict[str, Callable[..., Any]]:
    """The classes and functions in one of BasicSR's registries, by all their names."""
    items = list(registry)
    return {name.removesuffix('_basicsr'): item for name, item in items} | dict(items)


def options_schema(is_train: bool | None = None) -> Schema:
    """Schema (draft 7) of the options in a YAML file.

    Args:
        is_train: For training or testing; if None, a file with a section `train` is for training.
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
    """The schema as JSON; its optimizers come from the installed torch."""
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
        'trained_data': _dataset(Needed.ALWAYS, Needed.TRAINING),
        'tested_data': _dataset(Needed.ALWAYS),
        'training': _training(),
        'testing': _testing(),
    }


def _optimizers(names: Iterable[str]) -> Schema:
    lr = {'required': ['lr'], 'errorMessage': 'missing; the learning rate'}
    schema = component({name: OPTIMIZERS[name] for name in names}, given=['params'])
    return {**schema, 'allOf': [lr, *schema['allOf']]}


def _training() -> Schema:
    now = (Needed.ALWAYS, Needed.TRAINING)
    data = {'train': 'trained_data', 'val(_.*)?': 'tested_data'}
    datasets = _datasets(data, 'training; use train and val (val_1, val_2 ...)')
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
    data = {'test(_.*)?|val(_.*)?': 'tested_data'}
    datasets = _datasets(data, 'testing; use test and val (test_1, test_2 ...)')
    return {'required': GeneralOptions.needed(Needed.TESTING), 'properties': {'datasets': datasets, 'val': val}}


def _datasets(names: Mapping[str, str], phase: str) -> Schema:
    """Schema of the section `datasets`.

    Args:
        names: Patterns of the names of datasets, with the definitions of such datasets.
        phase: Their use, in words.
    """
    return {
        'patternProperties': {f'^({name})$': refer(definition) for name, definition in names.items()},
        'propertyNames': {'pattern': f'^({"|".join(names)})$', 'errorMessage': f'not for {phase}'},
    }


def _dataset(*when: Needed) -> Schema:
    """Schema of a dataset, with the keys that are required at these times."""
    every = _properties(DatasetOptions)
    others: dict[str, Any] = every | {'type': True}
    degraded = {name: others[name] for name in LOADED} | _properties(DegradedDatasetOptions)
    gt_alone = {name: others[name] for name in (*LOADED, 'meta_info_file', 'gt_size')}
    paired = {name: schema for name, schema in others.items() if name not in ('color', 'meta_info_file')}
    needed = DatasetOptions.needed(*when)
    known: list[tuple[Iterable[str], dict[str, Schema], list[str]]] = [
        ([BASICSR_PAIRED], every, needed),
        (set(PAIRED) - {BASICSR_PAIRED}, every | _properties(DetailOptions), needed),
        ([REAL_PAIRED], paired | _properties(RealPairedDatasetOptions), needed),
        ([DEGRADED], degraded, [*filter(LOADED.__contains__, needed), *DegradedDatasetOptions.needed(*when)]),
        (
            [DEGRADED_IMAGES],
            gt_alone | _properties(DegradedImageOptions, DetailOptions),
            [*filter(gt_alone.__contains__, needed), *DegradedImageOptions.needed(*when)],
        ),
    ]
    return {
        **_SECTION,
        'required': ['type'],
        'properties': {'type': {'enum': sorted(registered(DATASET_REGISTRY))}},
        'allOf': [  # the keys of other classes are unknown
            {
                'if': of_type(types),
                'then': {
                    'required': names,
                    'properties': properties,
                    'additionalProperties': False,
                },
            }
            for types, properties, names in known
        ],
    }


def _by_model() -> list[Schema]:
    """The rules that depend on `model_type`: known keys, read keys, and optimizers."""
    models = registered(MODEL_REGISTRY)
    basicsr = {name for name, model in models.items() if model.__module__.startswith('basicsr.')}
    basicsr |= set(KNOWN_MODELS) - {'ASIDModel'}  # another project may have its own
    added = [section for section in ADDED if section.place in _COMMON]
    closed = _closed(*_COMMON[''], *(section for section in added if not section.place))
    closed['properties'] |= {
        place: _closed(*sections, *(section for section in added if section.place == place))
        for place, sections in _COMMON.items()
        if place not in ('', 'logger')  # `logger` is closed in the schema of training, which reads it
    }
    return [
        {'if': of_type(models.keys() - KNOWN_MODELS, 'model_type'), 'else': closed},
        {
            'if': of_type(basicsr, 'model_type'),  # they support only Adam
            'then': _at('train', {'properties': {'optim_g': refer('adam')}}),
            'else': _at('train', {'properties': {'optim_g': refer('optimizer')}}),
        },
        *(_unread(section, basicsr if section in ASID_SECTIONS else KNOWN_MODELS) for section in added),
        *(
            {'if': of_type(section.read_by, 'model_type'), 'then': _at(section.place, {'properties': keys})}
            for section in added
            if section in REAL_WORLD_SECTIONS and (keys := section.properties())
        ),
        *(rule for model in KNOWN_MODELS for section in added for rule in _needed(section, model)),
    ]


_COMMON: dict[str, list[type[Section]]] = {
    '': [GeneralOptions],
    'path': [PathOptions],
    'dist_params': [DistOptions],
    'train': [TrainOptions],
    'val': [ValOptions],
    'logger': [LoggerOptions],
}
"""The sections of all models, by place."""


def _at(place: str, schema: Schema) -> Schema:
    """Schema of all options that applies this one to the section at a place."""
    return {'properties': {place: schema}} if place else schema


def _closed(*sections: type[Section]) -> Schema:
    """Schema of a section with only these keys."""
    return {'properties': dict.fromkeys(_properties(*sections), True), 'additionalProperties': False}


def _unread(section: type[Section], models: Iterable[str]) -> Schema:
    """Rule for models that do not read the keys of a section."""
    *others, last = section.read_by
    readers = f'{", ".join(others)} and {last}' if others else last
    unread = {'enum': [None, False, 0], 'errorMessage': f'{READ_BY}{readers} only'}
    return {
        'if': of_type(set(models) - set(section.read_by), 'model_type'),
        'then': _at(section.place, {'properties': dict.fromkeys(section.declared(), unread)}),
    }


def _needed(section: type[Section], model: str) -> Iterator[Schema]:
    """The rule for the required keys of a section in training, if any."""
    names = section.needed(Needed.TRAINING)
    if not names or model not in section.read_by:
        return
    training: Schema = {'required': ['model_type', 'train'], 'properties': {'model_type': {'const': model}}}
    if section in (DegradationOptions, RealESRNetOptions):
        off = {'required': ['high_order_degradation'], 'properties': {'high_order_degradation': {'const': False}}}
        training['not'] = off
    yield {'if': training, 'then': _at(section.place, {'title': model, 'required': names})}

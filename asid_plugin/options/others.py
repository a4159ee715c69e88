"""Check BasicSR's models and datasets for other purposes with our networks."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY

from .basicsr_keys import PAIRED
from .building import refused
from .degraded_keys import DEGRADED_IMAGES
from .network import is_windowed, network_class
from .problems import Key, Options, Problem, mapping
from .real_world_keys import DEGRADING
from .schema import KNOWN_MODELS, registered
from .signatures import is_known

OTHERS = (
    *('EDVRModel', 'HiFaceGANModel', 'StyleGAN2Model', 'VideoBaseModel', 'VideoGANModel'),
    *('VideoRecurrentGANModel', 'VideoRecurrentModel'),
)
"""Models of BasicSR for videos and faces, which call their network differently."""


def check_model(opt: Options) -> Iterator[Problem]:
    """Check that a model of BasicSR can train our networks."""
    model = opt.get('model_type')
    if not is_windowed(network_class(mapping(opt, 'network_g'))):
        return
    if model in OTHERS:
        yield Problem(('model_type',), f'{model} is for other networks; use ASIDModel or SRModel')


def check_samples(opt: Options) -> Iterator[Problem]:
    """Check a dataset of BasicSR with unknown keys by its first sample, if a known model reads it."""
    known = registered(DATASET_REGISTRY)
    for name, dataset in mapping(opt, 'datasets').items():
        kind = known.get(str(dataset.get('type')))
        if (
            kind is not None
            and dataset['type'] not in (*PAIRED, DEGRADED_IMAGES)
            and is_known(kind)
            and opt.get('model_type') in KNOWN_MODELS
            and not (dataset['phase'] == 'train' and opt['model_type'] in DEGRADING)  # checked by check_degradations
        ):
            compared = dataset['phase'] == 'train' or bool(mapping(opt, 'val', 'metrics'))
            yield from _check_sample(('datasets', name), dataset, ('lq', 'gt') if compared else ('lq',))


def _check_sample(key: Key, dataset: Options, needed: Sequence[str]) -> Iterator[Problem]:
    kind = dataset['type']
    try:
        with _as_before():
            sample = registered(DATASET_REGISTRY)[kind](deepcopy(dict(dataset)))[0]
    except KeyError as error:
        yield Problem(key, f'{kind} needs the key {error.args[0]}')
        return
    except Exception as error:  # each class raises different errors
        yield refused(key, kind, error)
        return
    for name in needed:
        dimensions = getattr(sample.get(name), 'ndim', None)
        if dimensions != 3:
            has = f'has {dimensions} dimensions' if dimensions else 'is missing'
            yield Problem((*key, 'type'), f"{kind} does not return image pairs: '{name}' of a sample {has}")
            return


@contextmanager
def _as_before() -> Iterator[None]:
    """Restore the state of random numbers."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)

"""Let MMEngine load checkpoints and resume from them without running code, and name files that do not fit."""

import functools
import os
import reprlib
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch

from asid_plugin.checkpoints import CheckpointError
from asid_plugin.checkpoints.archives import load_pickled
from asid_plugin.checkpoints.reading import as_mapping
from asid_plugin.checkpoints.training_states import check_optimizer, is_alike, is_count
from asid_plugin.errors import ASIDError
from asid_plugin.locks import in_turn, lock_beside


def mmengine_checkpoints() -> None:
    """Let MMEngine read its checkpoints again, which torch refuses since 2.6, because they hold its log.

    The log consists of `HistoryBuffer`s with NumPy arrays and references to their methods. They are rebuilt from the
    numbers; nothing that a checkpoint names is called. Downloaded files are read in the same way; MMEngine would run
    their code. Errors name the file, which MMEngine's errors do not. States of schedulers, which MMEngine does not
    check, are checked too.
    """
    from mmengine.logging import HistoryBuffer
    from mmengine.optim import _ParamScheduler
    from mmengine.runner import Runner, checkpoint

    def load_from_local(filename: str, map_location: Any = None) -> dict[Any, Any]:
        path = Path(filename).expanduser()
        content = as_mapping(path, functools.partial(load_pickled, history=HistoryBuffer))
        try:
            _check_log(content.get('message_hub'))
            _check_meta(content.get('meta'))
        except ValueError as error:
            raise CheckpointError(f'{path}: {error}') from None
        return content

    def load_from_http(
        filename: str, map_location: Any = None, model_dir: str | None = None, progress: bool = os.isatty(0)
    ) -> dict[Any, Any]:
        path = Path(model_dir or Path(torch.hub.get_dir(), 'checkpoints'), Path(urlparse(filename).path).name)
        if not path.is_file():
            _download(filename, path, progress)
        return load_from_local(str(path))

    checkpoint.CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)
    checkpoint.CheckpointLoader.register_scheme(prefixes=['http://', 'https://'], loader=load_from_http, force=True)
    checkpoint.load_from_local, checkpoint.load_from_http = load_from_local, load_from_http
    Runner.load_checkpoint = _named(_without_config(Runner.load_checkpoint), 'load')
    _ParamScheduler.load_state_dict = _checked_schedule(_ParamScheduler.load_state_dict)
    Runner.resume = _named(_with_optimizer_checked(Runner.resume), 'resume from')


def _download(url: str, path: Path, progress: bool) -> None:
    """Download a file, once for all processes that share a disk; processes do not wait for other nodes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with in_turn(lock_beside(path)):
            if not path.is_file():
                torch.hub.download_url_to_file(url, str(path), progress=progress)
    except (HTTPException, OSError) as error:
        raise CheckpointError(f'{url}: cannot be downloaded to {path} ({error})') from error


def _named(original: Callable[..., Any], verb: str) -> Callable[..., Any]:
    """A method of `Runner` that loads a file, with the file in its errors."""

    @functools.wraps(original)
    def load(self: Any, filename: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, filename, *args, **kwargs)
        except ASIDError:
            raise
        except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
            said = f'{type(e).__name__}: {" ".join(str(e).split())[:150]}'
            raise CheckpointError(f'{filename}: MMEngine cannot {verb} this file ({said})') from e

    return load


def _without_config(original: Callable[..., Any]) -> Callable[..., Any]:
    """`Runner.load_checkpoint` without the config in `meta`, which `Runner.resume` would execute to count GPUs."""

    @functools.wraps(original)
    def load_checkpoint(self: Any, *args: Any, **kwargs: Any) -> Any:
        content = original(self, *args, **kwargs)
        if isinstance(content, dict) and isinstance(content.get('meta'), dict):
            content['meta'].pop('config', None)
        return content

    return load_checkpoint


def _with_optimizer_checked(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def resume(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        optimizer = getattr(self.optim_wrapper, 'optimizer', None)
        if isinstance(optimizer, torch.optim.Optimizer):
            check_optimizer(optimizer)
        return result

    return resume


def _checked_schedule(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def load_state_dict(self: Any, state_dict: Mapping[Any, Any]) -> None:
        own = vars(self)
        for name, value in state_dict.items():
            fits = name != 'optimizer' and not hasattr(type(self), name)
            if name == 'param_name':
                fits = value == self.param_name
            elif name in own and value is not None:  # a value given by another option may be None
                fits = fits and is_alike(value, own[name])
            if not fits:
                raise ValueError(f'{name} of a scheduler cannot be {reprlib.repr(value)}')
        original(self, state_dict)
        _try_step(self)

    return load_state_dict


def _try_step(schedule: Any) -> None:
    """Let a scheduler make a step, and undo it."""
    groups = schedule.optimizer.param_groups
    before = dict(vars(schedule)), [dict(group) for group in groups]
    schedule.step()
    vars(schedule).update(before[0])
    for group, values in zip(groups, before[1], strict=True):
        group.update(values)


def _check_log(log: object) -> None:
    """Raise a ValueError if `message_hub` is not as MMEngine saves it."""
    if log is None:
        return
    if not (isinstance(log, Mapping) and all(isinstance(part, Mapping) for part in log.values())):
        raise ValueError('message_hub: not the log of a training')
    for name, history in log.get('log_scalars', {}).items():
        if not isinstance(name, str):
            raise ValueError(f'message_hub: {reprlib.repr(name)} is not the name of a log')
        numbers, counts = (getattr(history, key, None) for key in ('_log_history', '_count_history'))
        is_row = getattr(numbers, 'ndim', 0) == 1 and getattr(numbers, 'shape', 0) == getattr(counts, 'shape', 1)
        if not is_row or not is_count(getattr(history, 'max_length', None)):
            raise ValueError(f'message_hub: the log of {name[:100]} is not a row of numbers')
    for name, value in log.get('runtime_info', {}).items():
        if not _fits(str(name), value):
            raise ValueError(f'message_hub: {name[:100]} cannot be {reprlib.repr(value)}')
    saved = {*log.get('log_scalars', {}), *log.get('runtime_info', {})}
    for name, value in log.get('resumed_keys', {}).items():
        # MMEngine saves no other value, and would fail when it writes this one next
        if name in saved and value is not True:
            raise ValueError(f'message_hub: {name[:100]} exists, but its resumed_keys is {reprlib.repr(value)}')


def _fits(name: str, value: object) -> bool:
    """Whether a training can resume with this value in `runtime_info`."""
    if name == 'best_score' or name.startswith('best_score_'):
        return is_alike(value, 0.0)
    if name == 'keep_ckpt_ids':
        return isinstance(value, list) and all(map(is_count, value))
    return name != 'sampler_seed' or (type(value) is int and abs(value) <= 2**63)


def _check_meta(meta: object) -> None:
    """Raise a ValueError if `meta`, if any, has counts that are not whole numbers."""
    if meta is None:
        return
    if not isinstance(meta, Mapping):
        raise ValueError('meta: not the meta of a training')
    for key in ('epoch', 'iter'):
        if key in meta and not is_count(meta[key]):
            raise ValueError(f'meta: {key} is {reprlib.repr(meta[key])}, not a whole number')
    if type(meta.get('seed')) not in (int, type(None)):
        raise ValueError(f'meta: seed is {reprlib.repr(meta["seed"])}, not a whole number')

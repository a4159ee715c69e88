"""Compare an option file with the state of the training to resume.

BasicSR takes the schedule and the number of the epoch from the state, and ignores changes in the option file and in the
number of batches.
"""

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from asid_plugin.checkpoints.archives import load_pickled
from asid_plugin.checkpoints.training_states import is_count
from asid_plugin.compat.resuming import Place, read_place
from asid_plugin.errors import ASIDError

from .problems import Options, Problem, mapping
from .schema import SCHEDULERS
from .signatures import needed, parameters


class StateError(ASIDError):
    """A file that is not a complete training state; the message is one line."""


@dataclass(frozen=True)
class State:
    """A training state: its time, the states of scheduler and optimizer, and the place in the epoch."""

    epoch: int
    iteration: int
    scheduler: Options
    optimizer: Options
    place: Place | None


def find_state(opt: Options) -> Path | None:
    """The training state from which BasicSR will resume, if any."""
    if opt.get('auto_resume'):
        states = Path('experiments', str(opt.get('name')), 'training_states').glob('*.state')
        return max((path for path in states if path.stem.isdigit()), key=lambda path: int(path.stem), default=None)
    file = mapping(opt, 'path').get('resume_state')
    return Path(file) if file and os.path.isfile(file) else None  # for names of any length


def read_state(file: Path) -> State:
    """Read a training state; repeated reads unpickle it once.

    Raises:
        StateError: It is not a training state, or damaged.
    """
    try:
        read = _read(file, _stamp(file))
    except OSError as error:
        read = _message(file, error)
    if isinstance(read, str):
        raise StateError(read)
    return read


def forget_state() -> None:
    """Free the memory of the last state."""
    _read.cache_clear()


@functools.lru_cache(maxsize=1)
def _read(file: Path, _version: tuple[int, ...]) -> State | str:
    """A state, or the message on a wrong file."""
    try:
        content = load_pickled(file)
        state = State(
            content['epoch'], content['iter'], content['schedulers'][0], content['optimizers'][0], read_place(content)
        )
        if not (is_count(state.epoch) and is_count(state.iteration) and isinstance(state.scheduler, dict)):
            raise ValueError('its epoch and iteration should be whole numbers, its scheduler a dict')
        return state
    except Exception as error:  # a damaged file makes unpickling fail in any way
        return _message(file, error)


def _stamp(file: Path) -> tuple[int, ...]:
    status = os.stat(file)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _message(file: Path, error: Exception) -> str:
    said = ' '.join(str(error).split())[:100]
    return f'{file} is not a complete training state ({said}); remove it, or name another'


def check_resume(opt: Options) -> Iterator[Problem]:
    """Check that the schedule equals the original one."""
    file, schedule = find_state(opt), mapping(opt, 'train', 'scheduler')
    if not opt['is_train'] or file is None:
        return
    try:
        saved = read_state(file).scheduler
    except StateError as error:
        yield Problem(('path', 'resume_state'), str(error))
        return
    kind = SCHEDULERS.get(str(schedule.get('type')))
    if kind is None or not needed(kind) - {'optimizer'} <= schedule.keys():
        return
    try:
        given = _build(kind, schedule).state_dict()
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError):
        return  # reported by check_train
    names = [name for name in parameters(kind) if name in given and name != 'last_epoch']
    if not saved.keys() >= set(names):
        message = f'{file} has another; restore the original one, or start from its weights'
        yield Problem(('train', 'scheduler', 'type'), message)
        return
    for name in names:
        was, now = _plain(saved[name]), _plain(given[name])
        if was != now:
            message = f'{now}, but {file} resumes with {was}; write {was}, or start from its weights'
            yield Problem(('train', 'scheduler', name), message)


def _build(kind: type, schedule: Options) -> Any:
    arguments = {name: value for name, value in schedule.items() if name != 'type'}
    return kind(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1), **arguments)


def _plain(value: Any) -> Any:
    """A tuple, or the `Counter` of milestones, as a list like in an option file."""
    if isinstance(value, dict):
        return sorted(step for step, times in value.items() for _ in range(times))
    return list(value) if isinstance(value, tuple | list) else value

"""Several processes that train together: they begin alike, or end together with one line that says why."""

import functools
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from asid_plugin.errors import ASIDError
from asid_plugin.locks import hold, lock_inside, released_after
from asid_plugin.printable import printable

from .dist_params import BACKENDS, LONGEST_WAIT
from .patching import rebind, replaced

Value = TypeVar('Value')


def gather(value: Value) -> list[Value]:
    """The value of each rank, in their order; of one process its own."""
    if not distributed.is_initialized():
        return [value]
    values = [value] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def stop_if_any(lines: Iterable[str]) -> None:
    """End the program if there are any lines, with exit code 2; of several processes the first prints those of all."""
    everybodys = list(dict.fromkeys(chain.from_iterable(gather(list(lines)))))
    if not everybodys:
        return
    several = distributed.is_initialized()
    if not several or distributed.get_rank() == 0:
        print(*map(printable, everybodys), sep='\n', file=sys.stderr, flush=True)
    if several:
        distributed.barrier()  # the launcher ends the others with the first that exits, perhaps before it has printed
    raise SystemExit(2)


@contextmanager
def failing_together() -> Iterator[None]:
    """Let an error for the user end all ranks with one line; a single process raises it.

    Every rank must enter it, and the code inside must not wait for other ranks.
    """
    lines = []
    try:
        yield
    except (ASIDError, OSError) as error:
        if not distributed.is_initialized():
            raise
        lines = [f'rank {distributed.get_rank()} on {socket.gethostname()}: {error}']
    stop_if_any(lines)


def stop_unless_alike(name: str, value: str, advice: str) -> None:
    """End all ranks with one line unless a value is the same on each.

    Args:
        name: Name of the value, in words.
        value: This rank's.
        advice: The remedy if they differ.
    """
    by_value: dict[str, list[str]] = {}
    for rank, (other, where) in enumerate(gather((value, f'{socket.gethostname()}:{Path.cwd()}'))):
        by_value.setdefault(other, []).append(f'rank {rank} ({where})')
    if len(by_value) > 1:
        said = ' but '.join(f'{other} on {_listed(ranks)}' for other, ranks in by_value.items())
        line = f'the processes would not train the same network: {name} is {said}; {advice}'
        stop_if_any([] if distributed.get_rank() else [line])  # the first rank's advice will do


def checksum(tensors: Iterable[Tensor]) -> str:
    """Eight hexadecimal digits that depend on every bit of some tensors, and on their order."""
    digest = blake2b(digest_size=4)
    for tensor in tensors:
        digest.update(tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def state_of(nets: Iterable[torch.nn.Module], optimizers: Iterable[torch.optim.Optimizer]) -> str:
    """The checksum of weights and of the state of optimizers."""
    weights = chain.from_iterable(net.state_dict().values() for net in nets)
    kept = chain.from_iterable(optimizer.state_dict()['state'].values() for optimizer in optimizers)
    entries = chain.from_iterable(state.values() for state in kept)
    remembered = chain.from_iterable(value if isinstance(value, list) else [value] for value in entries)
    return checksum(value for value in chain(weights, remembered) if isinstance(value, Tensor))


def _listed(ranks: list[str]) -> str:
    return ranks[0] if len(ranks) == 1 else f'{ranks[0]} and {len(ranks) - 1} more'


def dist_params_of_pytorch() -> None:
    """Apply `dist_params` with `--launcher pytorch`; all versions of BasicSR read it with `slurm` only.

    With `slurm` they fail on a `timeout`, which torch expects as a `timedelta`; here it is in seconds, as in MMEngine.
    Invalid values keep their default until the check of options reports them.
    """
    from basicsr.utils import dist_util

    original = dist_util.init_dist

    @functools.wraps(original)
    def init_dist(launcher: str, backend: str | None = None, **kwargs: Any) -> None:
        params = {**_dist_params(), **kwargs, **({'backend': backend} if backend else {})}
        chosen = params.get('backend')
        wait = _seconds(params.get('timeout'))
        start = functools.partial(distributed.init_process_group, timeout=wait)
        port = {'port': params['port']} if launcher == 'slurm' and 'port' in params else {}  # torchrun sets the port
        with replaced(distributed, 'init_process_group', start):
            original(launcher, chosen if chosen in BACKENDS else BACKENDS[0], **port)

    rebind(original, init_dist)


def _dist_params() -> Mapping[str, Any]:
    """The section `dist_params` of the options that BasicSR's `parse_options` is about to return."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not (frame.f_code.co_name == 'parse_options' and 'opt' in frame.f_locals):
        frame = frame.f_back
    params = frame.f_locals['opt'].get('dist_params') if frame is not None else None
    return params if isinstance(params, Mapping) else {}


def _seconds(value: Any) -> timedelta | None:
    """A valid time to wait, else None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return timedelta(seconds=value) if is_number and 1 <= value <= LONGEST_WAIT else None


def mmengine_ranks_alike() -> None:
    """Let the ranks of a `Runner` begin alike: if nodes share no disk, one may resume and another start from scratch.

    MMEngine then hangs at the end, or continues with different weights. An error of one rank in reading a checkpoint
    ends all ranks.
    """
    from mmengine.runner import Runner

    original = Runner.load_or_resume

    @functools.wraps(original)
    def load_or_resume(self: Runner) -> None:
        if not distributed.is_initialized():
            original(self)
            return
        with failing_together():
            original(self)
        optimizers = [self.optim_wrapper.optimizer] if hasattr(self.optim_wrapper, 'optimizer') else []
        begun = f'iteration {self.iter} with weights {state_of([self.model], optimizers)}'
        stop_unless_alike('the beginning', begun, f'copy {self.work_dir} to every node, or use a shared disk')

    Runner.load_or_resume = load_or_resume


def mmengine_one_training() -> None:
    """Refuse to train in the work folder of another running training, whose checkpoints would be overwritten."""
    from mmengine.runner import Runner

    original = Runner.train

    @functools.wraps(original)
    def train(self: Runner) -> Any:
        with released_after():
            hold_work_dir(self)
            return original(self)

    Runner.train = train


def hold_work_dir(runner: Any) -> None:
    """Lock the work folder of a Runner on its first rank, which writes there.

    Raises:
        LockedError: Another process trains there; with several processes, all end with its line.
    """
    with failing_together():
        if runner.rank == 0:
            hold(lock_inside(runner.work_dir), runner.work_dir, 'wait until it ends, or give another --work-dir')

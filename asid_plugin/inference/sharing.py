"""Divide work among the processes started by torchrun or SLURM, which all know the whole work."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import torch

from asid_plugin.errors import UsageError

_PATIENCE = timedelta(seconds=20)


@dataclass(frozen=True)
class Share:
    """This process in a group of processes.

    Attributes:
        rank: Its number, from 0.
        size: Number of processes on all machines.
        local_rank: Its number on this machine.
        threads: Number of threads; 0 for PyTorch's default.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    threads: int = 0

    @classmethod
    def of_environment(cls, environ: Mapping[str, str] = os.environ) -> 'Share':
        """The process described by the environment variables of torchrun or SLURM, else a single one.

        Raises:
            UsageError: A variable is not a number, or a rank is not below the number of processes; the message names
                it.
        """
        environ = {name: value for name, value in environ.items() if value}
        number = partial(_number, environ)
        if 'RANK' in environ and 'WORLD_SIZE' in environ:
            rank, size, local = number('RANK'), number('WORLD_SIZE'), max(1, number('LOCAL_WORLD_SIZE', 1))
            _check_rank('RANK', rank, 'WORLD_SIZE', size)
            # torchrun sets 1 by default
            alone = local == 1 or environ.get('OMP_NUM_THREADS', '1') != '1'
            return cls(rank, size, number('LOCAL_RANK', rank), 0 if alone else max(1, _cores() // local))
        if 'SLURM_PROCID' in environ and not _is_batch_script(environ):
            tasks = 'SLURM_STEP_NUM_TASKS' if 'SLURM_STEP_NUM_TASKS' in environ else 'SLURM_NTASKS'
            rank, size = number('SLURM_PROCID'), number(tasks, 1)
            _check_rank('SLURM_PROCID', rank, tasks, size)
            threads = 0 if 'OMP_NUM_THREADS' in environ else number('SLURM_CPUS_PER_TASK')
            return cls(rank, size, number('SLURM_LOCALID'), threads)
        return cls()

    @property
    def prefix(self) -> str:
        """Prefix of the lines of this process."""
        return f'[rank {self.rank}] ' if self.size > 1 else ''

    def settle(self) -> None:
        """Let PyTorch use the share of this process: its GPU if there are several, and its number of threads."""
        if self.threads:
            torch.set_num_threads(self.threads)
        if self.size > 1 and torch.cuda.is_available():
            torch.cuda.set_device(self.local_rank % torch.cuda.device_count())

    def of(self, work: Sequence[float]) -> list[int]:
        """The indexes of the pieces for this process, in order.

        All processes compute the same division: each piece belongs to exactly one, and amounts are about equal.

        Args:
            work: The amount of work in each piece, equal in all processes.
        """
        loads = [(0.0, 0)] * self.size
        mine = []
        for index in sorted(range(len(work)), key=lambda index: -work[index]):
            rank = min(range(self.size), key=loads.__getitem__)
            loads[rank] = loads[rank][0] + work[index], loads[rank][1] + 1
            if rank == self.rank:
                mine.append(index)
        return sorted(mine)

    def finish(self, failed: bool, environ: Mapping[str, str] = os.environ) -> None:
        """Report the end of this process and, if it failed, wait for the others.

        When a process ends with an error, torchrun kills all others.
        """
        if self.size == 1 or environ.get('TORCHELASTIC_USE_AGENT_STORE') != 'True':
            return
        from torch.distributed import TCPStore  # type: ignore[attr-defined]  # not in every build of PyTorch

        key = f'asid_plugin/finished/{environ.get("TORCHELASTIC_RESTART_COUNT", 0)}'
        try:
            store = TCPStore(environ['MASTER_ADDR'], int(environ['MASTER_PORT']), is_master=False, timeout=_PATIENCE)
            finished = store.add(key, 1)
            while failed and finished < self.size:
                time.sleep(0.5)
                finished = store.add(key, 0)
        except RuntimeError:  # torchrun has ended or cannot be reached, so there is nothing to wait for
            return


def _number(environ: Mapping[str, str], name: str, default: int = 0) -> int:
    """The whole number in an environment variable."""
    value = environ.get(name, str(default))
    if not value.isdecimal():
        raise UsageError(f'the environment variable {name} is {value!r}; it should be a number from 0')
    return int(value)


def _check_rank(rank_name: str, rank: int, size_name: str, size: int) -> None:
    if rank >= size:
        raise UsageError(f'the environment variable {rank_name} is {rank}; it should be below {size_name}, {size}')


def _is_batch_script(environ: Mapping[str, str]) -> bool:
    """Whether a batch script started this process without srun; its variables then describe processes of srun."""
    return 'SLURM_JOB_ID' in environ and 'SLURM_STEP_ID' not in environ


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1

"""Check at the start of a run that its processes agree and that no other run writes to its folder."""

import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from asid_plugin.compat.ranks import gather, stop_unless_alike
from asid_plugin.files import remove_unfinished
from asid_plugin.locks import LockedError, hold, lock_beside

from .forced import Forced
from .problems import Key, Options, Problem, mapping
from .resuming import find_state, read_state

_OF_A_NODE = ('dataroot_gt', 'dataroot_lq', 'meta_info_file', 'pretrain_network_g', 'resume_state', 'teacher')
"""Files that may have another path on each node, but must exist on all nodes or none."""
_NOT_COMPARED = ('rank', 'num_gpu', 'manual_seed')
"""Keys that differ between processes, such as a seed that each draws by default."""
_FOLDERS = ('experiments_root', 'models', 'training_states', 'log', 'visualization', 'results_root')


def check_forced(opt: Options, forced: Iterable[Forced]) -> Iterator[Problem]:
    """Refuse entries of `--force_yml` that are applied too late: BasicSR needs them to connect the processes."""
    for entry in forced:
        if opt.get('dist') and entry.key[0] == 'dist_params':
            yield Problem(entry.key, 'comes too late on the command line; write it into the option file')


def check_agreement(opt: Options) -> Iterator[Problem]:
    """Compare the options of several processes, because each node may have another file."""
    where = f'{socket.gethostname()}:{os.getcwd()}'
    ranks = gather((dict(_flat(opt)), where))
    keys = dict.fromkeys(key for options, _ in ranks for key in options)
    for key in keys:
        first, *others = [options.get(key, '~') for options, _ in ranks]
        for rank, other in enumerate(others, 1):
            if other != first:
                yield Problem(key, f'{first} on rank 0 ({ranks[0][1]}), but {other} on rank {rank} ({ranks[rank][1]})')
                break


def _flat(options: Options, key: Key = ()) -> Iterator[tuple[Key, str]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*key, str(name)))
        elif name in _OF_A_NODE:
            yield (*key, name), '~' if value is None else 'a file'
        elif name not in _NOT_COMPARED and not (key == ('path',) and name in _FOLDERS):
            yield (*key, str(name)), str(value)


def agree_on_state(opt: Options) -> None:
    """End all processes unless they continue from the same iteration; nodes may have different files."""
    if opt['is_train']:
        state = find_state(opt)
        begun = f'iteration {read_state(state).iteration}' if state else 'no state'
        advice = f'copy {_folder(opt)} to every node, or use a shared disk'
        stop_unless_alike('the training state', begun, advice)


def take_folder(opt: Options) -> Iterator[Problem]:
    """Lock the folder in experiments/ or results/ until the run ends; BasicSR renames an older folder with its name.

    Partial files of a killed training are removed first.
    """
    if opt['rank']:
        return
    folder = _folder(opt)
    try:
        hold(lock_beside(folder), folder, 'wait until it ends, or choose another name')
        for key in ('models', 'training_states') if opt['is_train'] else ():
            remove_unfinished(mapping(opt, 'path')[key])
    except LockedError as error:
        yield Problem(('name',), str(error))
    except OSError as error:
        yield Problem(('name',), f'{error.filename or folder}: {error.strerror or error}')


def _folder(opt: Options) -> Any:
    return mapping(opt, 'path')['experiments_root' if opt['is_train'] else 'results_root']

"""Skip missing benchmark sets, and report each in a line."""

import os
from collections.abc import Iterable
from typing import Any

from asid_plugin.published.reported import BENCHMARKS

from .problems import Key, Options, Problem, mapping


def absent_benchmarks(opt: Options, forced: Iterable[Key] = ()) -> list[Problem]:
    """The test sets of the paper without images, each with a line.

    They may not be redistributed, so few users have them all. Other data sets, sets with one of two folders, and sets
    on the command line are not included: there, a missing folder is a mistake.

    Args:
        opt: Options.
        forced: Keys from the command line.
    """
    touched = {key[1] for key in forced if key[:1] == ('datasets',) and len(key) > 1}
    found = []
    for key, dataset in mapping(opt, 'datasets').items():
        if not isinstance(dataset, dict) or key == 'train' or key in touched or dataset.get('name') not in BENCHMARKS:
            continue
        roots = [dataset.get(root) for root in ('dataroot_gt', 'dataroot_lq')]
        if all(isinstance(root, str) and not os.path.lexists(os.path.expanduser(root)) for root in roots):
            found.append(Problem(('datasets', key), f'{dataset["name"]} is left out: no folder {roots[0]}'))
    return found


def leave_out(opt: dict[str, Any], absent: Iterable[Problem]) -> None:
    """Remove sets from the options; a training left without sets does not validate, but a test keeps them all."""
    keys = {problem.key[1] for problem in absent}
    left = {key: dataset for key, dataset in mapping(opt, 'datasets').items() if key not in keys}
    if not keys or not left:
        return
    opt['datasets'] = type(opt['datasets'])(left)
    if opt['is_train'] and not any(key.partition('_')[0] == 'val' for key in left):
        opt['val'] = None

"""Benchmark sets that are not there: a run does without them, and a line says so."""

import os
from collections.abc import Iterable
from typing import Any

from asid_plugin.published.reported import BENCHMARKS

from .problems import Key, Options, Problem, mapping


def absent_benchmarks(opt: Options, forced: Iterable[Key] = ()) -> list[Problem]:
    """The sets of the paper that are to be tested on and whose images are absent, each with a line.

    They are not ours to distribute, so few people have them all. Other data sets, sets of which one of two folders is
    there, and sets that the command line names are not among them: there, a missing folder is a mistake.

    Args:
        opt: Options.
        forced: Keys that the command line sets.
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
    """Take sets out of the options; a training that has none left validates no more, a test keeps them all."""
    keys = {problem.key[1] for problem in absent}
    left = {key: dataset for key, dataset in mapping(opt, 'datasets').items() if key not in keys}
    if not keys or not left:
        return
    opt['datasets'] = type(opt['datasets'])(left)
    if opt['is_train'] and not any(key.partition('_')[0] == 'val' for key in left):
        opt['val'] = None

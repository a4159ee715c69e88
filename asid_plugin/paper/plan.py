"""The cost of the paper: the trainings behind its tables and figures, their progress, and the remaining hours."""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from asid_plugin import markdown
from asid_plugin.inference.devices import choose_device
from asid_plugin.inference.progress import say

from . import slurm
from .planned import PlanError, Planned, missing_data, read_plan
from .rates import Rates

EMPTY = '–'
HEADER = ('option file', 'network', 'for', 'iterations', 'done', 's an iteration', 'hours left', 'begins after')


def main(args: argparse.Namespace) -> None:
    """Print the plan, or run the requested part of it.

    Raises:
        PlanError: The plan cannot be read or run.
        RateError: A rate cannot be measured.
        UsageError: An argument is invalid.
    """
    plan = read_plan(args.parts, args.options, args.iterations, args.force_yml)
    for planned in plan:
        if planned.fault:
            say(planned.fault, sys.stderr)
    if args.run:
        run(plan)
        return
    for line in missing_data(planned for planned in plan if not planned.finished):
        say(line, sys.stderr)
    if args.next:
        print(next_training(plan).command)
    elif args.slurm:
        print('\n'.join(slurm.write(plan, args.slurm)))
    else:
        _print(plan, args)


def next_training(plan: Sequence[Planned]) -> Planned:
    """The next training to continue or else to begin.

    Raises:
        PlanError: There is no such training.
    """
    candidates = [planned for planned in plan if planned.is_open]
    if not candidates:
        if all(planned.finished for planned in plan):
            raise PlanError(f'nothing to do: all {len(plan)} trainings are done')
        running = ', '.join(planned.name for planned in plan if planned.running) or 'none'
        raise PlanError(f'no training can start now; running: {running}')
    return next((planned for planned in candidates if planned.iteration), candidates[0])


def run(plan: Sequence[Planned]) -> None:
    """Run the remaining trainings one after another.

    Raises:
        PlanError: A training failed or cannot start.
    """
    for number, planned in enumerate(plan, 1):
        if planned.finished:
            continue
        if planned.running or planned.fault:
            raise PlanError(planned.fault or f'{planned.name} is being trained by another process')
        say(f'training {number} of {len(plan)}: {planned.command}', sys.stderr)
        status = _run([sys.executable, '-m', 'asid_plugin', *planned.words[1:]])
        if status:
            raise PlanError(f'training {number} of {len(plan)}, {planned.name}, ended with exit status {status}')


def _run(words: Sequence[str]) -> int:
    """Run a program; an interruption ends it with its workers."""
    process = subprocess.Popen(words, start_new_session=os.name == 'posix')
    try:
        return process.wait()
    except BaseException:
        try:
            _end(process)
        except BaseException:  # a second interruption does not wait for the end of the training
            _end(process, at_once=True)
            raise
        raise


def _end(process: subprocess.Popen[bytes], at_once: bool = False) -> None:
    """End a program of `_run` with its workers, and wait for its end."""
    if os.name == 'posix':
        with suppress(ProcessLookupError):  # they have ended
            os.killpg(process.pid, signal.SIGKILL if at_once else signal.SIGTERM)
    elif at_once:
        process.kill()
    else:
        process.terminate()
    process.wait()


def _print(plan: Sequence[Planned], args: argparse.Namespace) -> None:
    rates = Rates(args.output, choose_device(args.device))
    left = [planned.workload for planned in plan if not planned.finished]
    seconds = rates.known() if args.no_measure else rates.measure(left)
    rows = [_facts(planned, seconds.get(planned.workload.key)) for planned in plan]
    known = [row['hours_left'] for row in rows if row['hours_left'] is not None]
    total = round(sum(known), 1) if len(known) == len(rows) else None
    if args.json:
        print(json.dumps({'device': rates.where, 'hours_left': total, 'trainings': rows}, indent=2))
        return
    print(markdown.table(HEADER, map(_cells, rows)))
    iterations = sum(planned.left for planned in plan)
    hours = '' if total is None else f': {total:,.0f} hours ({total / 24:,.0f} days)'
    print(f'\n{iterations:,} iterations left{hours} on one {rates.where}; without loading data and validation.')


def _facts(planned: Planned, seconds: float | None) -> dict[str, Any]:
    """A training in the form of `--json`."""
    if planned.finished:
        hours: float | None = 0.0
    else:
        hours = None if seconds is None else round(planned.left * seconds / 3600, 1)
    state = 'done' if planned.finished else 'running' if planned.running else 'begun' if planned.iteration else 'new'
    return {
        'file': planned.file.as_posix(),
        'name': planned.name,
        'network': planned.network,
        'parts': list(planned.training.parts),
        'iterations': planned.total,
        'iteration': planned.iteration,
        'state': 'other options' if planned.fault else state,
        'seconds_per_iteration': seconds,
        'hours_left': hours,
        'after': planned.after.file.as_posix() if planned.after else None,
        'command': planned.command,
    }


def _cells(facts: Mapping[str, Any]) -> list[str]:
    """A row of the table."""
    share = f'{100 * facts["iteration"] / facts["iterations"]:.1f} %' if facts['iteration'] else EMPTY
    state = f', {facts["state"]}' if facts['state'] in ('running', 'other options') else ''
    seconds, hours = facts['seconds_per_iteration'], facts['hours_left']
    return [
        facts['file'],
        facts['network'],
        ', '.join(facts['parts']),
        f'{facts["iterations"]:,}',
        share + state,
        EMPTY if seconds is None else f'{seconds:.3g}',
        EMPTY if hours is None else f'{hours:,.1f}' if hours < 100 else f'{hours:,.0f}',
        facts['after'] or '',
    ]

"""SLURM job arrays for the trainings of the paper."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from asid_plugin.files import staging

from .planned import PlanError, Planned

SUBMIT = 'submit.sh'
ARRAY = """\
#!/bin/bash
#SBATCH --job-name=asid-paper-{level}
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={cpus}
#SBATCH --gres=gpu:1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
# A training on one GPU for each task, by `asid paper plan --slurm`; {submit} submits it.
# Two minutes before its time limit a task is requeued, and its next start resumes the training.

case $SLURM_ARRAY_TASK_ID in
{cases}
*) echo "no training $SLURM_ARRAY_TASK_ID" >&2; exit 2 ;;
esac
trap 'interrupted=yes; scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"' USR1
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" "${{training[@]}}" &  # srun does not inherit it from the job
step=$!
interrupted=yes
while [[ $interrupted ]]; do  # the signal ends a wait, not the training; bash stores the status of an ended step
  interrupted=
  wait "$step"
  status=$?
done
exit "$status"
"""
SUBMITTING = """\
#!/bin/bash
# Submit the trainings, one array for each level; a training begins when the trainings that it needs are
# done. Arguments go to sbatch: bash {submit} --partition=PARTITION --time=24:00:00
set -eu
cd -- {folder}
{lines}
"""


def write(plan: Sequence[Planned], folder: Path) -> list[str]:
    """Write a job array for each level of the trainings that can start now or after others.

    Returns:
        A line for each script with its name and number of tasks, and last the command that submits them. Scripts of
        further levels from an earlier plan are removed.

    Raises:
        PlanError: No training is left.
        OSError: A script cannot be written.
    """
    arrays = levels(plan)
    if not arrays:
        raise PlanError('nothing to submit: every training is done, is running, or waits for a running one')
    folder = folder.absolute()
    lines = []
    with staging(folder) as staged:
        for level, tasks in enumerate(arrays, 1):
            lines.append(_submission(level, tasks, arrays, folder))
            (staged / _name(level)).write_text(_array(level, tasks), encoding='utf-8', newline='\n')
        text = SUBMITTING.format(submit=SUBMIT, folder=shlex.quote(os.fspath(Path.cwd())), lines='\n'.join(lines))
        (staged / SUBMIT).write_text(text, encoding='utf-8', newline='\n')
    _remove_levels(folder, above=len(arrays))
    counts = [f'{folder / _name(level)}: {len(tasks)} trainings' for level, tasks in enumerate(arrays, 1)]
    return [*counts, f'bash {shlex.quote(os.fspath(folder / SUBMIT))} --partition=PARTITION --time=24:00:00']


def levels(plan: Sequence[Planned]) -> list[list[Planned]]:
    """The trainings to submit, level by level."""
    found: list[list[Planned]] = []
    level_of: dict[str, int] = {}
    for planned in plan:
        after = planned.after
        level = 0 if after is None or after.finished else level_of.get(after.name, -2) + 1
        if level >= 0 and not (planned.finished or planned.running or planned.fault):
            level_of[planned.name] = level
            found += [[] for _ in range(level + 1 - len(found))]
            found[level].append(planned)
    return found


def _name(level: int | str) -> str:
    return f'level_{level}.sh'


def _remove_levels(folder: Path, above: int) -> None:
    """Remove unused scripts of an earlier plan with more levels."""
    for path in folder.glob(_name('*')):
        number = path.stem.removeprefix('level_')
        if number.isdecimal() and int(number) > above:
            path.unlink()


def _array(level: int, tasks: Sequence[Planned]) -> str:
    cases = '\n'.join(f'{i}) training=({planned.command}) ;;' for i, planned in enumerate(tasks))
    cpus = 2 + max(planned.opt['datasets']['train'].get('num_worker_per_gpu', 0) for planned in tasks)
    return ARRAY.format(level=level, last=len(tasks) - 1, cpus=cpus, cases=cases, submit=SUBMIT)


def _submission(level: int, tasks: Sequence[Planned], arrays: Sequence[Sequence[Planned]], folder: Path) -> str:
    """The line that submits an array and stores its number in a variable."""
    waits = ''
    if level > 1:
        before = [planned.name for planned in arrays[level - 2]]
        needed = sorted({before.index(planned.after.name) for planned in tasks if planned.after})
        numbers = ':'.join(f'${{level_{level - 1}}}_{number}' for number in needed)
        waits = f' --kill-on-invalid-dep=yes "--dependency=afterok:{numbers}"'
    log = shlex.quote(f'--output={folder}/%x_%a.log')
    script = shlex.quote(os.fspath(folder / _name(level)))
    return (
        f'level_{level}=$(sbatch --parsable {log}{waits} "$@" {script})\n'
        f'level_{level}=${{level_{level}%%;*}}  # without the name of the cluster\n'
        f'echo "{_name(level)}: job $level_{level}"'
    )

"""The trainings of the paper in `experiments/`: their progress, and the commands that continue them."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asid_plugin import plain_yaml
from asid_plugin.errors import ASIDError, UsageError
from asid_plugin.locks import is_held, lock_beside
from asid_plugin.options.problems import Problem, mapping, nearest
from asid_plugin.published import variants

from .rates import Workload
from .trainings import PARTS, Training, trainings_for

EXPERIMENTS = Path('experiments')
LATEST = 'net_g_latest.pth'
"""BasicSR's file of the final weights."""
COMPARED = (
    ('scale',),
    ('network_g',),
    ('datasets', 'train', 'gt_size'),
    ('train', 'optim_g', 'lr'),
    ('train', 'scheduler'),
    ('train', 'total_iter'),
)
"""Options that must be equal in a training in `experiments/` and the plan. Batch and data may be divided
differently."""
_OWN = {
    'name': 'each training has its name',
    'train:total_iter': 'use --iterations for a smaller number in all trainings',
}


class PlanError(ASIDError):
    """A plan that cannot be read or run; the message has the reason."""


@dataclass(frozen=True)
class Planned:
    """A training of the plan.

    Attributes:
        training: Its row in the plan.
        file: Its option file.
        opt: The options, with the changes of the command line.
        forced: These changes, in the form of `--force_yml`.
        workload: The work of a step.
        after: The training that provides its initial weights, if any.
        iteration: The iteration of its latest training state, or of its end.
        finished: Whether its final weights exist.
        running: Whether another process is training it.
        fault: The reason why the experiment with its name is a different training; '' if it is not.
    """

    training: Training
    file: Path
    opt: Mapping[str, Any]
    forced: tuple[str, ...]
    workload: Workload
    after: 'Planned | None'
    iteration: int
    finished: bool
    running: bool
    fault: str

    @property
    def name(self) -> str:
        """Name of its experiment."""
        return str(self.opt['name'])

    @property
    def total(self) -> int:
        """Total number of iterations."""
        return int(self.opt['train']['total_iter'])

    @property
    def left(self) -> int:
        """Remaining iterations."""
        return self.total - self.iteration

    @property
    def network(self) -> str:
        """The network's name in the paper, and the scale."""
        variant = variants.find(self.opt['network_g'])
        return f'{variant.name if variant else self.opt["network_g"]["type"]} x{self.opt["scale"]}'

    @property
    def is_open(self) -> bool:
        """Whether it can start or continue now."""
        ready = self.after is None or self.after.finished
        return ready and not (self.finished or self.running or self.fault)

    @property
    def words(self) -> list[str]:
        """The command that begins or continues it."""
        forced = ['--force_yml', *self.forced] if self.forced else []
        return ['asid', 'train', self.file.as_posix(), '--auto_resume', *forced]

    @property
    def command(self) -> str:
        """The same as a line for a shell."""
        return shlex.join(self.words)


def read_plan(
    parts: Sequence[str], options: Path, iterations: int | None = None, forced: Sequence[str] = ()
) -> list[Planned]:
    """The trainings of some tables and figures, with their progress in the current folder.

    Args:
        parts: Names in `asid paper`; empty for all.
        options: The folder of option files.
        iterations: A smaller number of iterations for each training, with separate experiments.
        forced: Further changes of options, in the form of `--force_yml`.

    Raises:
        PlanError: An option file is missing, or differs from the paper.
        UsageError: An argument cannot be carried out.
    """
    for part in parts:
        if part not in PARTS:
            near = nearest(part, PARTS)
            hint = f'did you mean {near}?' if near else f'known are {", ".join(PARTS)}'
            raise UsageError(f'{part}: not a table or figure with trainings; {hint}')
    if iterations is not None and iterations < 1:
        raise UsageError(f'--iterations {iterations}: should be at least 1')
    for entry in forced:
        if reason := _OWN.get(entry.partition('=')[0].strip()):
            raise UsageError(f'--force_yml {entry}: {reason}')
    if not options.is_dir():
        raise PlanError(
            f'no folder {options} in {Path.cwd()}: the option files are in a checkout of asid_plugin, not in the '
            'package; change to it, or name its folder by --options'
        )
    planned: dict[str, Planned] = {}
    for training in trainings_for(tuple(parts)):
        planned[training.file] = _read(training, options, iterations, tuple(forced), planned.get(training.after))
    return list(planned.values())


def missing_data(plan: Iterable[Planned]) -> list[str]:
    """A line for each missing data set, in the words of `asid train`, for the first training that needs it."""
    from asid_plugin.options.absent import absent_benchmarks
    from asid_plugin.options.basicsr_keys import PAIRED
    from asid_plugin.options.images import lacking, root_of  # with BasicSR, which takes seconds

    lines: dict[str, str] = {}
    for planned in plan:
        absent = {problem.key[1] for problem in absent_benchmarks(planned.opt)}
        needed = {name: dataset for name, dataset in planned.opt['datasets'].items() if name not in absent}
        for name, dataset in needed.items():
            dataset = {**dataset, 'phase': name.partition('_')[0]}
            is_read = dataset.get('type') in PAIRED and mapping(dataset, 'io_backend')
            for key in ('dataroot_gt', 'dataroot_lq') if is_read else ():
                if lack := lacking(root_of(dataset, key), dataset):
                    lines.setdefault(lack, f'{planned.file}: {Problem(("datasets", name, key), lack)}')
    return list(lines.values())


def _read(
    training: Training, options: Path, iterations: int | None, forced: tuple[str, ...], after: Planned | None
) -> Planned:
    file = options / training.file
    try:
        opt = plain_yaml.read(file)
        total, name = opt['train']['total_iter'], opt['name']
        if total != training.iterations:
            raise PlanError(f"{file}: train: total_iter: {total}, but the paper's training has {training.iterations}")
        if iterations is not None:
            forced = (*_budget(name, iterations, after), *forced)
        opt = changed(opt, forced, str(file))
        workload = Workload.of(opt)
        iteration, finished = progress(EXPERIMENTS / opt['name'], opt)
        fault = other_options(EXPERIMENTS / opt['name'], file.name, opt)
    except FileNotFoundError:
        raise PlanError(f'{file}: missing; --options should name the folder options of a checkout') from None
    except (KeyError, TypeError, plain_yaml.YAMLError) as error:
        raise PlanError(f'{file}: not the option file of a training ({error})') from None
    running = not finished and is_held(lock_beside(EXPERIMENTS / opt['name']))
    return Planned(training, file, opt, forced, workload, after, iteration, finished, running, fault)


def _budget(name: str, iterations: int, after: Planned | None) -> list[str]:
    """Changes for fewer iterations: frequent states, and a separate experiment."""
    often = max(1, iterations // 4)
    changes = [f'name={name}_{iterations}_iterations', f'train:total_iter={iterations}']
    changes += [f'logger:{key}={often}' for key in ('print_freq', 'save_checkpoint_freq')]
    if after is not None:
        changes.append(f'path:pretrain_network_g={(EXPERIMENTS / after.name / "models" / LATEST).as_posix()}')
    return changes


def changed(opt: Mapping[str, Any], forced: Sequence[str], file: str) -> Mapping[str, Any]:
    """Options with the changes of `--force_yml`.

    Raises:
        ForcedError: A change is invalid.
    """
    if not forced:
        return opt
    from asid_plugin.options.forced import forced_upon, read_forced  # with BasicSR, which takes seconds

    return forced_upon(opt, read_forced(forced, opt, file))


def progress(folder: Path, opt: Mapping[str, Any]) -> tuple[int, bool]:
    """The iteration at which a training would continue, and whether it is finished.

    The final weights are not enough, because a shorter training with the same name writes them too. It also takes
    states, or numbered weights, from the last iterations of this training.
    """
    states = _numbers(folder / 'training_states', r'(\d+)\.state')
    total, every = opt['train']['total_iter'], opt['logger']['save_checkpoint_freq']
    saved = [*states, *_numbers(folder / 'models', r'net_g_(\d+)\.pth')]
    finished = (folder / 'models' / LATEST).is_file() and max(saved, default=total) >= total // every * every
    return (total if finished else min(max(states, default=0), total)), finished


def _numbers(folder: Path, pattern: str) -> list[int]:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return [int(found[1]) for name in names if (found := re.fullmatch(pattern, name))]


def other_options(folder: Path, file: str, opt: Mapping[str, Any]) -> str:
    """The first different option of the training in a folder, in words; '' if all are equal or unknown.

    BasicSR copies the option file into the folder, with the command line as a comment.
    """
    copy = folder / file
    if not copy.is_file():
        copies = sorted(folder.glob('*.yml'))
        return f'{folder} was trained with {copies[0].name}; move it away' if copies else ''
    try:
        written = changed(plain_yaml.read(copy), _forced_by(copy.read_text(encoding='utf-8')), str(copy))
    except (ASIDError, OSError, UnicodeDecodeError) as error:
        return f'{copy} cannot be read ({error}); move {folder} away'
    for key in COMPARED:
        was, now = (mapping(options, *key[:-1]).get(key[-1]) for options in (written, opt))
        if was != now:
            return (
                f'{folder} was trained with {": ".join(key)}: {_plain(was)}, but the plan has {_plain(now)}; move it '
                'away'
            )
    return ''


def _forced_by(text: str) -> list[str]:
    """The changes on the command line in BasicSR's copy of an option file."""
    found = re.search(r'^# CMD:\n# .*?--force_yml (.*)$', text, re.MULTILINE)
    if not found:
        return []
    return re.split(r'\s+(?=[\w:.-]+=)', re.split(r'\s+-{1,2}[a-z]', found[1])[0].strip())


def _plain(value: Any) -> str:
    return str(dict(value) if isinstance(value, Mapping) else value)

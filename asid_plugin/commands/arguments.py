"""Arguments that several commands take, and the call of a function that is not imported yet."""

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from asid_plugin.errors import UsageError
from asid_plugin.locks import released_after
from asid_plugin.tiles import BORDERS, OVERLAP, TILE


def call(target: str, *arguments: object, **keywords: object) -> None:
    """Import a function, given as MODULE:FUNCTION, and call it."""
    module, _, function = target.partition(':')
    getattr(import_module(module), function)(*arguments, **keywords)


def add_no_arguments(_parser: argparse.ArgumentParser) -> None:
    """Of a command that takes none."""


def add_running_arguments(parser: argparse.ArgumentParser, whole: bool = True) -> None:
    """Add how a network is run: `--tile`, `--tile-overlap`, `--half` and `--device`.

    Args:
        parser: Of the command.
        whole: `--tile 0` stands for the whole image.
    """
    add = parser.add_argument
    zero = ', 0 for the whole image (takes more memory)' if whole else ''
    add(
        '--tile',
        type=int,
        default=TILE,
        help=f'side of the tiles in LR pixels{zero} (default: %(default)s, as for the published figures)',
    )
    add('--tile-overlap', type=int, default=OVERLAP, help='overlap of tiles in LR pixels (default: %(default)s)')
    add('--device', default='auto', choices=['auto', 'cpu', 'cuda'], help='default: auto, CUDA if available')
    add(
        '--half',
        action='store_true',
        help='compute in float16 on CUDA, in bfloat16 on a CPU (8 significant bits, rarely faster)',
    )


def add_borders(parser: argparse.ArgumentParser, default: str, *further: str) -> None:
    """Add `--borders`, one of `BORDERS` or of `further` choices."""
    parser.add_argument(
        '--borders',
        default=default,
        choices=[*BORDERS, *further],
        help='for images whose sides are not multiples of the window: flush aligns windows with the borders (an image '
        'below 16 pixels is mirrored); zeros pads at the bottom and right as in the paper, which degrades the '
        f'outermost pixels{"; both runs one after the other" if further else ""} (default: %(default)s)',
    )


def add_figure_output(parser: argparse.ArgumentParser, default: str) -> None:
    """Add `-o`, the file of a figure."""
    text = '.png, .pdf or .svg; missing folders are created (default: %(default)s)'
    parser.add_argument('-o', '--output', type=Path, default=Path(default), metavar='FILE', help=text)


def add_measured(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Add `--measured`, files that `asid evaluate` wrote; `purpose` is their use, in words."""
    text = f'{purpose}: files evaluation.csv of asid evaluate'
    parser.add_argument('--measured', type=Path, nargs='+', default=[], metavar='CSV', help=text)


def add_networks(parser: argparse.ArgumentParser, text: str) -> None:
    """Add `--network`, any number of SPECs; `text` is its help."""
    parser.add_argument('--network', nargs='+', action='extend', default=[], metavar='SPEC', help=text)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add `--workers`, the number of processes."""
    parser.add_argument('--workers', type=int, help='number of processes (default: one per core, at most 16)')


def add_basicsr_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of BasicSR's train and test scripts, as BasicSR spells them."""
    add = parser.add_argument
    add('file', nargs='?', metavar='FILE', help='the option file, such as options/train_ASID_x2.yml')
    add('-opt', metavar='FILE', help='the option file, as BasicSR spells it')
    add(
        '--force_yml',
        nargs='+',
        metavar='KEY=VALUE',
        help='change options, for example: --force_yml train:total_iter=1000 name=short',
    )
    add(
        '--launcher',
        choices=['none', 'pytorch', 'slurm'],
        default='none',
        help='for several processes: pytorch under torchrun, slurm under srun (default: none)',
    )
    add('--auto_resume', action='store_true', help='continue from the last training state in experiments/NAME, if any')
    add('--debug', action='store_true', help='log and save every few iterations; the experiment is named debug_NAME')
    add('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)  # of torch.distributed.launch


def run_basicsr(command: str, args: argparse.Namespace) -> None:
    """Run BasicSR's training or testing in the current folder; its own parser reads `sys.argv`.

    Args:
        command: 'train' or 'test'.
        args: Of the command line.

    Raises:
        UsageError: No option file is named, two are, or it does not exist.
    """
    if (args.file is None) == (args.opt is None):
        where = ', before --force_yml' if args.force_yml else ''
        raise UsageError(f'name one option file{where}: asid {command} options/{command}_ASID_x2.yml')
    file = args.file or args.opt
    if not os.path.exists(file):  # noqa: PTH110  # `Path.exists` raises on a name that is too long
        from asid_plugin.options.problems import no_such_file

        raise UsageError(no_such_file(file))
    argv = ['-opt', file, '--launcher', args.launcher, '--local_rank', str(args.local_rank)]
    argv += ['--auto_resume'] * args.auto_resume + ['--debug'] * args.debug
    argv += ['--force_yml', *args.force_yml] if args.force_yml else []
    sys.argv[:] = [f'{sys.argv[0]} {command}', *argv]  # BasicSR copies it into the results
    pipeline = getattr(import_module(f'basicsr.{command}'), f'{command}_pipeline')
    with released_after():
        pipeline(str(Path.cwd()))

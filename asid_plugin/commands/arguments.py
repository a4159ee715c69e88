"""Arguments that several commands take, and the call of a function that is not imported yet."""

import argparse
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
    zero = ', 0 for the whole image at once (takes memory that grows with it)' if whole else ''
    add(
        '--tile',
        type=int,
        default=TILE,
        help=f'side of the tiles that the network sees, in LR pixels{zero} (default: %(default)s, as in the published '
        'figures)',
    )
    add('--tile-overlap', type=int, default=OVERLAP, help='LR pixels that neighbouring tiles share (%(default)s)')
    add('--device', default='auto', choices=['auto', 'cpu', 'cuda'], help='default: auto, CUDA if there is any')
    add(
        '--half',
        action='store_true',
        help='compute in float16 on CUDA, in bfloat16 on a CPU (8 significant bits, seldom faster)',
    )


def add_borders(parser: argparse.ArgumentParser, default: str, *further: str) -> None:
    """Add `--borders`, one of `BORDERS` or of `further` choices."""
    parser.add_argument(
        '--borders',
        default=default,
        choices=[*BORDERS, *further],
        help='where the sides of an image are no whole windows of the network: flush lays whole windows flush with the '
        'borders (an image below 16 pixels is mirrored); zeros pads at the bottom and right as the paper does, which '
        f'spoils the outermost pixels{"; both does one after the other" if further else ""} (default: %(default)s)',
    )


def add_figure_output(parser: argparse.ArgumentParser, default: str) -> None:
    """Add `-o`, the file of a figure."""
    text = '.png, .pdf or .svg; folders are made if need be (%(default)s)'
    parser.add_argument('-o', '--output', type=Path, default=Path(default), metavar='FILE', help=text)


def add_measured(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Add `--measured`, files that `asid evaluate` wrote; `purpose` is their use, in words."""
    text = f'{purpose}; the evaluation.csv of asid evaluate'
    parser.add_argument('--measured', type=Path, nargs='+', default=[], metavar='CSV', help=text)


def add_networks(parser: argparse.ArgumentParser, text: str) -> None:
    """Add `--network`, any number of SPECs; `text` is its help."""
    parser.add_argument('--network', nargs='+', action='extend', default=[], metavar='SPEC', help=text)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add `--workers`, the number of processes."""
    parser.add_argument('--workers', type=int, help='processes (default: one for each core, at most 16)')


def add_basicsr_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of BasicSR's train and test scripts, as BasicSR spells them."""
    add = parser.add_argument
    add('file', nargs='?', metavar='FILE', help='the option file, such as options/train_ASID_x2.yml')
    add('-opt', metavar='FILE', help='the option file, in the way BasicSR names it')
    add(
        '--force_yml',
        nargs='+',
        metavar='KEY=VALUE',
        help='change options, section:key=value: --force_yml train:total_iter=1000 name=short',
    )
    add(
        '--launcher',
        choices=['none', 'pytorch', 'slurm'],
        default='none',
        help='of several processes: pytorch with torchrun, slurm with srun (default: none)',
    )
    add('--auto_resume', action='store_true', help='continue from the last state in experiments/NAME, if there is one')
    add('--debug', action='store_true', help='log and save every few iterations, names begin with debug_')
    add('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)  # of torch.distributed.launch


def run_basicsr(command: str, args: argparse.Namespace) -> None:
    """Run BasicSR's training or testing in the current folder; its own parser reads `sys.argv`.

    Args:
        command: 'train' or 'test'.
        args: Of the command line.

    Raises:
        UsageError: No option file is named, or two are.
    """
    if (args.file is None) == (args.opt is None):
        where = ', before --force_yml' if args.force_yml else ''
        raise UsageError(f'name one option file{where}: asid {command} options/{command}_ASID_x2.yml')
    argv = ['-opt', args.file or args.opt, '--launcher', args.launcher, '--local_rank', str(args.local_rank)]
    argv += ['--auto_resume'] * args.auto_resume + ['--debug'] * args.debug
    argv += ['--force_yml', *args.force_yml] if args.force_yml else []
    sys.argv[:] = [f'{sys.argv[0]} {command}', *argv]  # BasicSR writes it down with the results
    pipeline = getattr(import_module(f'basicsr.{command}'), f'{command}_pipeline')
    with released_after():
        pipeline(str(Path.cwd()))

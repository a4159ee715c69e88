"""Option files checked before a run that uses this package starts.

BasicSR takes an option file as it stands: a mistyped key is overlooked, a wrong value or a missing folder fails later
and elsewhere, sometimes days later. For runs that use this package, `parse_checked` ends the
program with one line per mistake: the file, the key, the mistake and what would be right. Others are left alone.
"""

import argparse
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from basicsr.utils import options as basicsr_options
from torch import distributed

from .checks import check_options, check_structure, uses_plugin
from .problems import Problem, located
from .yaml_numbers import read_numbers

Parsed = tuple[dict[str, Any], argparse.Namespace]
"""Options, and the arguments of the command line."""


def parse_checked(parse_options: Callable[..., Parsed], root_path: str, is_train: bool = True) -> Parsed:
    """Parse the command line by BasicSR's own `parse_options`, and end the program if its options have mistakes."""
    try:
        opt, args = parse_options(root_path, is_train)
    except (AttributeError, KeyError, OSError, TypeError, ValueError, yaml.YAMLError) as error:
        _stop_if_unreadable(error, is_train)
        raise
    if uses_plugin(opt):
        _stop_if_any(_line(problem, args.opt, args.force_yml or ()) for problem in check_options(opt))
    return opt, args


def _line(problem: Problem, file: str, forced: Iterable[str]) -> str:
    is_forced = any(entry.partition('=')[0].strip() == ':'.join(problem.key) for entry in forced)
    return f'{"--force_yml" if is_forced else file}: {problem}'


def _stop_if_unreadable(error: Exception, is_train: bool) -> None:
    """Stop with a line for options that `parse_options` failed on, if that is what `error` comes from."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('-opt', default='')
    parser.add_argument('--force_yml', nargs='+')
    args = parser.parse_known_args()[0]
    if isinstance(error, OSError) and error.filename == args.opt:
        _stop_if_any([f'{located(args.opt)}: {error.strerror}'])
    elif isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        _stop_if_any([f'{args.opt}: line {error.problem_mark.line + 1}: not YAML: {error.problem}'])
    elif traceback.extract_tb(error.__traceback__)[-1].name in ('parse_options', '<module>'):  # the latter: --force_yml
        _stop_if_unfit(error, args.opt, args.force_yml, is_train)


def _stop_if_unfit(error: Exception, file: str, forced: list[str] | None, is_train: bool) -> None:
    """Stop with a line for each mistake in a file of options, or for the arguments that do not fit it."""
    with Path(file).open() as stream:
        opt = yaml.load(stream, Loader=basicsr_options.ordered_yaml()[0])
    if not isinstance(opt, Mapping):
        _stop_if_any([f'{file}: no options in it'])
    elif uses_plugin(opt):
        problems: list[Problem] = []
        opt = read_numbers({**opt, 'is_train': is_train}, problems)
        _stop_if_any(f'{file}: {problem}' for problem in (*problems, *check_structure(opt)))
        if forced:
            right = f'right is section:key=value, with sections that {file} has'
            _stop_if_any([f'--force_yml: {" ".join(forced)}: {right} ({type(error).__name__}: {error})'])


def _stop_if_any(lines: Iterable[str]) -> None:
    """End the program if there are any lines, with exit code 2; of several processes the first prints those of all."""
    lines = list(lines)
    processes = distributed.is_initialized()
    if processes:
        gathered: list[list[str]] = [[]] * distributed.get_world_size()
        distributed.all_gather_object(gathered, lines)
        lines = [line for process in gathered for line in process]
    if not lines:
        return
    if not processes or distributed.get_rank() == 0:
        print(*dict.fromkeys(lines), sep='\n', file=sys.stderr, flush=True)
    if processes:
        distributed.barrier()  # the launcher ends the others with the first that exits, perhaps before it has printed
    raise SystemExit(2)

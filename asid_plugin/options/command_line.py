"""Option files checked before a run that uses this package starts.

BasicSR takes an option file as it stands: a mistyped key is overlooked, a wrong value or a missing folder fails later
and elsewhere, sometimes days later. For runs that use this package, `parse_checked` ends the
program with one line per mistake: the file, the key, the mistake and the correct value. The option files of other
runs are plain YAML too, and are otherwise left alone.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from itertools import chain
from typing import Any, NoReturn

from asid_plugin import plain_yaml
from asid_plugin.compat.console import console_without_dumps
from asid_plugin.compat.ranks import stop_if_any
from asid_plugin.printable import printable

from .absent import absent_benchmarks, leave_out
from .beginning import agree_on_state, check_agreement, check_forced, take_folder
from .checks import check_kinds, check_options, uses_plugin
from .forced import Forced, ForcedError, forced_upon, read_forced
from .problems import Options, Problem, located, no_such_file
from .resuming import forget_state

Parsed = tuple[dict[str, Any], argparse.Namespace]
"""Options, and the arguments of the command line."""


def parse_checked(parse_options: Callable[..., Parsed], root_path: str, is_train: bool = True) -> Parsed:
    """Parse the command line by BasicSR's own `parse_options`, and end the program if its options have mistakes."""
    file, entries = _arguments()
    if not file:
        return parse_options(root_path, is_train)  # which says so
    written = _read(file)
    forced = _read_forced(entries, written, file)
    if uses_plugin(forced_upon(written, forced)):
        _read(file, any_keys=False)
    said = StringIO()
    try:
        with redirect_stdout(said):  # 'Disable distributed.' is no beginning of a run that is refused
            opt, args = parse_options(root_path, is_train)
    except SystemExit:  # with its help
        print(said.getvalue(), end='', flush=True)
        raise
    except Exception:  # BasicSR checks no value, so a wrong one can raise any error
        _stop_if_misshapen(forced_upon(written, forced), is_train, file, forced)
        raise
    if uses_plugin(opt):
        line = partial(_line, file=file, forced=forced)
        absent = absent_benchmarks(opt, [entry.key for entry in forced])
        leave_out(opt, absent)
        stop_if_any(map(line, chain(check_options(opt), check_forced(opt, forced))))
        stop_if_any(map(line, check_agreement(opt)))
        agree_on_state(opt)
        forget_state()
        stop_if_any(map(line, take_folder(opt)))
        console_without_dumps()
        if absent and not opt['rank']:
            print(*(printable(f'{file}: {problem}') for problem in absent), sep='\n', file=sys.stderr, flush=True)
    print(said.getvalue(), end='', flush=True)
    return opt, args


def _arguments() -> tuple[str, Sequence[str]]:
    """Of the command line, the option file, '' if none, and the entries of `--force_yml`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('-opt', default='')
    parser.add_argument('--force_yml', nargs='+', default=())
    args = parser.parse_known_args()[0]
    return args.opt, args.force_yml


def _read(file: str, any_keys: bool = True) -> Options:
    """The options in a file; end the program if there are none."""
    try:
        written = plain_yaml.read(file, any_keys)
    except FileNotFoundError:
        _stop(no_such_file(file))
    except OSError as error:
        _stop(f'{located(file)}: {error.strerror}')
    except (ValueError, plain_yaml.YAMLError) as error:  # the former of a name that no file can have
        _stop(f'{file}: {error}')
    if not isinstance(written, Mapping):
        _stop(f'{file}: no options in it')
    return written


def _read_forced(entries: Iterable[str], written: Options, file: str) -> list[Forced]:
    try:
        return read_forced(entries, written, file)
    except ForcedError as error:
        _stop(str(error))


def _stop_if_misshapen(opt: Options, is_train: bool, file: str, forced: Sequence[Forced]) -> None:
    """Stop with a line for each key that is missing or unknown, and each value of a wrong kind."""
    if uses_plugin(opt):
        _, problems, _ = check_kinds({**opt, 'is_train': is_train})
        stop_if_any(_line(problem, file, forced) for problem in problems)


def _line(problem: Problem, file: str, forced: Iterable[Forced]) -> str:
    return f'{"--force_yml" if problem.key in (entry.key for entry in forced) else file}: {problem}'


def _stop(line: str) -> NoReturn:
    """End this process; with options that cannot be read, several have not found each other yet."""
    print(printable(line), file=sys.stderr, flush=True)
    raise SystemExit(2)

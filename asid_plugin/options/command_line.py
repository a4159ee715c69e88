"""Check the option file before a run with this package starts.

BasicSR does not check option files: a mistyped key is ignored, and a wrong value or a missing folder fails later and
elsewhere, sometimes after days. For runs that use this package, `parse_checked` ends the program with one line per
mistake: the file, the key, the mistake and the correct value. The option files of other runs must be plain YAML, but
are not checked otherwise.
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
"""The options, and the arguments of the command line."""


def parse_checked(parse_options: Callable[..., Parsed], root_path: str, is_train: bool = True) -> Parsed:
    """Parse the command line by BasicSR's `parse_options`, and end the program if the options have mistakes."""
    file, entries = _arguments()
    if not file:
        return parse_options(root_path, is_train)  # BasicSR reports the missing option
    written = _read(file)
    forced = _read_forced(entries, written, file)
    if uses_plugin(forced_upon(written, forced)):
        _read(file, any_keys=False)
    said = StringIO()
    try:
        with redirect_stdout(said):  # hold back 'Disable distributed.', because the run may be refused
            opt, args = parse_options(root_path, is_train)
    except SystemExit:  # after printing its help
        print(said.getvalue(), end='', flush=True)
        raise
    except Exception:  # BasicSR checks no values, so a wrong one can raise any error
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
    """The option file on the command line, '' if none, and the entries of `--force_yml`."""
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
    except (ValueError, plain_yaml.YAMLError) as error:  # ValueError for an impossible file name
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
    """Stop with a line for each missing or unknown key, and each value of a wrong kind."""
    if uses_plugin(opt):
        _, problems, _ = check_kinds({**opt, 'is_train': is_train})
        stop_if_any(_line(problem, file, forced) for problem in problems)


def _line(problem: Problem, file: str, forced: Iterable[Forced]) -> str:
    return f'{"--force_yml" if problem.key in (entry.key for entry in forced) else file}: {problem}'


def _stop(line: str) -> NoReturn:
    """End this process; processes are not connected yet if options cannot be read."""
    print(printable(line), file=sys.stderr, flush=True)
    raise SystemExit(2)

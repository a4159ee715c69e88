"""Lets Python 3.13 and later build BasicSR 1.4.2: put this folder on PYTHONPATH during the build, and only then.

`get_version` in BasicSR's setup.py runs basicsr/version.py by `exec` and reads the result from `locals()`. Since Python
3.13 (PEP 667) `exec` in a function cannot add to what `locals()` returns, so `__version__` is missing there. Every
interpreter imports a module of this name at its start; this one adds `__version__` where that function calls `locals`.
"""

import builtins
import inspect
import runpy
import sys
from pathlib import Path
from typing import Any


def locals_with_version() -> dict[str, Any]:
    """Return the caller's `locals()`, with the version where BasicSR's `get_version` is the caller."""
    frame = sys._getframe(1)
    if not frame.f_code.co_flags & inspect.CO_OPTIMIZED:  # a module or a class body has a dictionary of its own
        return frame.f_locals
    variables = dict(frame.f_locals)
    calls_for_version = frame.f_code.co_name == 'get_version' and 'version_file' in frame.f_globals
    if calls_for_version and Path(frame.f_globals.get('__file__', '')).name == 'setup.py':
        variables['__version__'] = runpy.run_path(frame.f_globals['version_file'])['__version__']
    return variables


if sys.version_info >= (3, 13):
    builtins.locals = locals_with_version

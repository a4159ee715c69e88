"""Protect programs that import a framework for other purposes."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def as_before(host: ModuleType) -> Iterator[None]:
    """Turn any failure to connect a framework into a warning; the framework works as before.

    Args:
        host: The framework, possibly of an unknown version.
    """
    try:
        yield
    except Exception as error:  # another version may raise any error
        name, version = host.__name__, getattr(host, '__version__', 'of unknown version')
        warnings.warn(f'asid_plugin cannot register in {name} {version}: {error!r}', RuntimeWarning, stacklevel=4)

"""Protection of programs that import a framework for purposes of their own."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def as_before(host: ModuleType) -> Iterator[None]:
    """Turn any failure to connect a framework into a warning: the framework itself works as before.

    Args:
        host: The framework, whose version may be one that this package does not know.
    """
    try:
        yield
    except Exception as error:  # whatever another version may raise
        name, version = host.__name__, getattr(host, '__version__', 'of unknown version')
        warnings.warn(f'asid_plugin cannot register in {name} {version}: {error!r}', RuntimeWarning, stacklevel=4)

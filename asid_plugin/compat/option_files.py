"""BasicSR's option files, read as plain YAML: a file that somebody sends must not run code."""

import ast
import functools
from collections.abc import Callable
from typing import Any

from asid_plugin import plain_yaml

from .patching import rebind


class PlainLoader:
    """A loader for `yaml.load`, which reads by `asid_plugin.plain_yaml`."""

    def __init__(self, stream: Any) -> None:
        source = getattr(stream, 'buffer', stream)  # of a file that was opened with the machine's own encoding
        self.content = source.read(plain_yaml.MOST_BYTES + 1) if hasattr(source, 'read') else source

    def get_single_data(self) -> Any:
        """The value in the stream."""
        return plain_yaml.load(self.content, any_keys=True)

    def dispose(self) -> None:
        """Nothing is held."""


def option_files_that_run_code() -> None:
    """Read option files as plain YAML, where all of BasicSR's versions let a line of them call any function.

    `!!python/object/apply:os.system [...]` ran before anything was checked.
    """
    from basicsr.utils import options

    original = options.ordered_yaml

    @functools.wraps(original)
    def ordered_yaml() -> tuple[Callable[..., Any], Any]:
        return PlainLoader, original()[1]

    rebind(original, ordered_yaml)


def values_that_run_code() -> None:
    """Read a list in `--force_yml` as a list, where all of BasicSR's versions evaluate it as Python."""
    from basicsr.utils import options

    original = options._postprocess_yml_value

    @functools.wraps(original)
    def postprocess(value: str) -> Any:
        return ast.literal_eval(value) if value.startswith('[') else original(value)

    rebind(original, postprocess)

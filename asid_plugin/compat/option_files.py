"""Read BasicSR's option files as plain YAML, because a received file must not run code."""

import ast
import functools
from collections.abc import Callable
from typing import Any

from asid_plugin import plain_yaml

from .patching import rebind


class PlainLoader:
    """A loader for `yaml.load` that uses `asid_plugin.plain_yaml`."""

    def __init__(self, stream: Any) -> None:
        # bytes, because the file was opened with the encoding of the machine
        source = getattr(stream, 'buffer', stream)
        self.content = source.read(plain_yaml.MOST_BYTES + 1) if hasattr(source, 'read') else source

    def get_single_data(self) -> Any:
        """The value in the stream."""
        return plain_yaml.load(self.content, any_keys=True)

    def dispose(self) -> None:
        """There is nothing to release."""


def option_files_that_run_code() -> None:
    """Read option files as plain YAML; all versions of BasicSR let them call any function.

    `!!python/object/apply:os.system [...]` ran before any check.
    """
    from basicsr.utils import options

    original = options.ordered_yaml

    @functools.wraps(original)
    def ordered_yaml() -> tuple[Callable[..., Any], Any]:
        return PlainLoader, original()[1]

    rebind(original, ordered_yaml)


def values_that_run_code() -> None:
    """Read a list in `--force_yml` as a list; all versions of BasicSR evaluate it as Python."""
    from basicsr.utils import options

    original = options._postprocess_yml_value

    @functools.wraps(original)
    def postprocess(value: str) -> Any:
        return ast.literal_eval(value) if value.startswith('[') else original(value)

    rebind(original, postprocess)

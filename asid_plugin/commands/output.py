"""Standard output and errors of a command, whoever reads them."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _File(io.FileIO):
    """A file that is written to as if nothing had happened when nobody reads any more."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:  # such as of `| head`: the work matters more than lines about it
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return super().write(content)


@contextmanager
def lasting_output() -> Iterator[None]:
    """Let `sys.stdout` and `sys.stderr` outlast their readers within the block.

    Characters that the encoding lacks are written as escapes. Streams that somebody else has put in place stay.
    """
    replaced = {}
    for name in ('stdout', 'stderr'):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f'__{name}__'):
            stream.flush()
            replaced[name] = stream
            setattr(sys, name, _lasting(stream))
    try:
        yield
    finally:
        for name, stream in replaced.items():
            getattr(sys, name).flush()
            setattr(sys, name, stream)


def _lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    raw = _File(stream.fileno(), 'w', closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors='backslashreplace' if stream.errors == 'strict' else stream.errors,
        line_buffering=stream.line_buffering or stream.write_through,
    )

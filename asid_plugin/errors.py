"""The base class of all errors of this package."""

from .printable import printable


class ASIDError(ValueError):
    """An error for the user: its message names the mistake, its place and the remedy.

    Args:
        *lines: The first line, and further lines, which are indented. Names and keys in them may be untrusted; the
        message escapes them by `printable`.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)

    def __str__(self) -> str:
        return '\n  '.join(map(printable, self.args))


def one_line(error: BaseException, most: int = 200) -> str:
    """The message of an error from another library in one line, or its type if it has no message.

    Args:
        error: The error.
        most: Characters, at most.
    """
    return ' '.join(str(error).split())[:most] or type(error).__name__


class UsageError(ASIDError):
    """Invalid arguments."""

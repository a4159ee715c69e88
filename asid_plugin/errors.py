"""The base class of this package's errors."""

from .printable import printable


class ASIDError(ValueError):
    """An error that a person can act on: its message names the mistake, its place and the remedy.

    Args:
        *lines: One line, or a first one and further ones, which are indented. Names and keys in them may come from
            strangers; the message has them as `printable` writes them.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)

    def __str__(self) -> str:
        return '\n  '.join(map(printable, self.args))


def one_line(error: BaseException, most: int = 200) -> str:
    """The message of another library's error in one line, or the error's type if it has none.

    Args:
        error: The error.
        most: Characters, at most.
    """
    return ' '.join(str(error).split())[:most] or type(error).__name__


class UsageError(ASIDError):
    """Arguments that cannot be carried out."""

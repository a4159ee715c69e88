"""The arguments of a part of the check, and its result."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / 'tests'))  # for the counts of operators


@dataclass(frozen=True)
class Setup:
    """Where and how much a part measures.

    Attributes:
        device: 'cuda' or 'cpu'.
        small: Sizes with which a CPU is done in seconds; the figures mean nothing.
        threads: That the CPU uses.
    """

    device: str
    small: bool
    threads: int = 2

    @property
    def repeat(self) -> int:
        """Rounds that count."""
        return 1 if self.small else 5

    @property
    def copied(self) -> int:
        """Numbers in the copy that measures the bandwidth."""
        return 2**20 if self.small else 2**26


@dataclass
class Table:
    """Rows of figures.

    Attributes:
        title: Of the table.
        header: Of its columns.
        rows: Its cells.
        notes: Sentences below it.
        failures: A sentence for each error while it was made; with one, the part has failed.
    """

    title: str
    header: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


Tables = Iterator[Table]


def lacking(*packages: str) -> list[str]:
    """Those of these modules that are not installed."""
    return [name for name in packages if find_spec(name) is None]


def error_line(error: BaseException) -> str:
    """An exception in one line."""
    text = str(error).strip().splitlines()
    return f'{type(error).__name__}: {text[0][:200]}' if text else type(error).__name__

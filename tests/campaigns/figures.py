"""Figures of a campaign: one row for each way into the package."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from asid_plugin.markdown import table
from asid_plugin.printable import printable

from .trials import Outcome


@dataclass
class Row:
    """The trials of one way into the package.

    Attributes:
        way: Such as 'checkpoints: upscale'.
        tried: How many trials there were.
        ends: How many of them ended in each way, in words such as 'refused' and 'done'.
        broken: A line on each promise that was broken; none is right.
        seconds: The slowest trial.
        mebibytes: The most memory that one took beyond that at its start; 0 where it was not measured.
    """

    way: str
    tried: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0
    mebibytes: float = 0.0

    def add(self, outcome: Outcome, name: str, broken: str = '') -> None:
        """Count a trial.

        Args:
            outcome: Its outcome; one that is not as promised is noted.
            name: By which the trial can be repeated.
            broken: Another promise that it broke.
        """
        self.tried += 1
        self.ends[outcome.end] += 1
        self.seconds = max(self.seconds, outcome.seconds)
        self.mebibytes = max(self.mebibytes, outcome.mebibytes)
        self.broken += [printable(f'{self.way}, {name}: {fault}') for fault in (outcome.fault, broken) if fault]


def as_table(rows: Iterable[Row]) -> str:
    """The rows as a table in Markdown."""
    header = ('way', 'tried', 'ended', 'broken', 'slowest, s', 'most memory, MiB')
    return table(header, [_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    ends = ', '.join(f'{count} {end}' for end, count in row.ends.most_common())
    memory = f'{row.mebibytes:.0f}' if row.mebibytes else ''
    return [row.way, str(row.tried), ends, str(len(row.broken)), f'{row.seconds:.1f}', memory]

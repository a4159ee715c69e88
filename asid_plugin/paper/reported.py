"""The figures that the paper prints, read from the CSV files in `data/`."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from asid_plugin.evaluate.results import Figures

BENCHMARKS = ('Set5', 'Set14', 'B100', 'Urban100')
"""The sets of Table 1, in its order."""


@dataclass(frozen=True)
class Reported:
    """A method's row of Table 1.

    Attributes:
        scale: k.
        method: As the paper writes it.
        transformer: Whether the paper counts it as a Transformer; else it is a CNN.
        params_k: Parameters in thousands.
        figures: By set.
    """

    scale: int
    method: str
    transformer: bool
    params_k: int
    figures: dict[str, Figures]


@cache
def read_table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of `data/NAME.csv` as they stand there, by column."""
    with (files('asid_plugin.paper') / 'data' / f'{name}.csv').open(encoding='utf-8', newline='') as file:
        return tuple(csv.DictReader(file))


@cache
def table1() -> tuple[Reported, ...]:
    """Table 1, in the paper's order: by scale, then by parameters."""
    return tuple(
        Reported(
            scale=int(row['scale']),
            method=row['method'],
            transformer=row['transformer'] == '1',
            params_k=int(row['params_k']),
            figures={
                name: Figures(float(row[f'{name.lower()}_psnr']), float(row[f'{name.lower()}_ssim']))
                for name in BENCHMARKS
            },
        )
        for row in read_table('table1')
    )


def reported_row(scale: int, method: str) -> Reported | None:
    """The row of Table 1 of a method at a scale, or None if the paper has none."""
    return next((row for row in table1() if (row.scale, row.method.lower()) == (scale, method.lower())), None)

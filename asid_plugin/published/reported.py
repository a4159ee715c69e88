"""The printed figures of the paper, from the CSV files in `data/`."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Figures:
    """PSNR in dB and SSIM, on the Y channel, with as many pixels cropped on each side as the scale."""

    psnr: float
    ssim: float

    def __str__(self) -> str:
        """With the usual digits: '38.17 / 0.9613'."""
        return f'{self.psnr:.2f} / {self.ssim:.4f}'


BENCHMARKS = ('Set5', 'Set14', 'B100', 'Urban100')
"""The sets of Table 1, in its order."""


@dataclass(frozen=True)
class Reported:
    """A row of Table 1.

    Attributes:
        scale: k.
        method: Name in the paper.
        transformer: Whether it is a Transformer in the paper; else it is a CNN.
        params_k: Parameters in thousands.
        figures: Figures by set.
    """

    scale: int
    method: str
    transformer: bool
    params_k: int
    figures: dict[str, Figures]


@cache
def read_table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of `data/NAME.csv` as text, by column."""
    text = (files('asid_plugin.published') / 'data' / f'{name}.csv').read_text(encoding='utf-8')
    return tuple(csv.DictReader(text.splitlines()))


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
    """The row of a method at a scale in Table 1, or None if there is none."""
    return next((row for row in table1() if (row.scale, row.method.lower()) == (scale, method.lower())), None)

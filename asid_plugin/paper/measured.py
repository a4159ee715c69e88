"""Means that `python -m asid_plugin.evaluate` has measured, read back from its CSV file."""

import argparse
import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asid_plugin.evaluate.results import Figures, Method

COLUMNS = ('scale', 'method', 'how', 'params', 'set', 'image', 'psnr', 'ssim')
"""What the file must have; a row without an `image` is of the whole set."""


class MeasuredError(ValueError):
    """A file that is not an evaluation's; the message names it."""


@dataclass(frozen=True)
class Means:
    """A method's means at a scale.

    Attributes:
        scale: k.
        method: The method.
        figures: By set.
    """

    scale: int
    method: Method
    figures: dict[str, Figures] = field(default_factory=dict)


def add_measured(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--measured`, the files for `read_all`; `what` says what is done with them."""
    text = f'{what}; the evaluation.csv of asid_plugin.evaluate'
    parser.add_argument('--measured', type=Path, nargs='+', default=[], metavar='CSV', help=text)


def read_all(paths: Sequence[Path]) -> list[Means]:
    """The means of several files; see `read_means`."""
    return [mean for path in paths for mean in read_means(path)]


def read_means(path: str | Path) -> list[Means]:
    """The means in an evaluation's CSV file, in its order.

    Raises:
        MeasuredError: The file is missing, has other columns, or something else where a number should be.
    """
    try:
        with open(path, encoding='utf-8', newline='') as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise MeasuredError(f'{path}: {getattr(error, "strerror", None) or "not a CSV file"}') from None
    if not rows:
        raise MeasuredError(f'{path}: there are no rows in it')
    missing = set(COLUMNS) - set(rows[0])
    if missing:
        raise MeasuredError(f'{path}: no column {", ".join(sorted(missing))}; asid_plugin.evaluate writes such a file')
    means: dict[tuple[int, Method], Means] = {}
    for line, row in enumerate(rows, start=2):
        if row['image']:
            continue
        try:
            scale, params = int(row['scale']), int(row['params']) if row['params'] else None
            figures = Figures(float(row['psnr']), float(row['ssim']))
            if not math.isfinite(figures.psnr + figures.ssim):
                raise ValueError
        except (TypeError, ValueError):
            raise MeasuredError(f'{path}: line {line}: scale, params, psnr and ssim must be numbers') from None
        method = Method(row['method'], row['how'], params)
        means.setdefault((scale, method), Means(scale, method)).figures[row['set']] = figures
    return list(means.values())

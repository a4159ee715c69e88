"""Read the means in a CSV file of `asid evaluate`."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asid_plugin.errors import ASIDError
from asid_plugin.evaluate.results import Method
from asid_plugin.evaluate.table import COLUMNS
from asid_plugin.files import is_special
from asid_plugin.published.reported import Figures


class MeasuredError(ASIDError):
    """A file that is not an evaluation; the message names it."""


@dataclass(frozen=True)
class Means:
    """Means of a method at a scale.

    Attributes:
        scale: k.
        method: The method.
        figures: Figures by set.
    """

    scale: int
    method: Method
    figures: dict[str, Figures] = field(default_factory=dict)


def read_all(paths: Sequence[Path]) -> list[Means]:
    """The means in several files; see `read_means`."""
    return [mean for path in paths for mean in read_means(path)]


def read_means(path: str | Path) -> list[Means]:
    """The means in the CSV file of an evaluation, in file order.

    Raises:
        MeasuredError: The file is missing, has other columns, or has an invalid number.
    """
    if is_special(path):
        raise MeasuredError(f'{path}: not a regular file but a pipe, a socket or a device')
    try:
        with Path(path).open(encoding='utf-8', newline='') as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise MeasuredError(f'{path}: {getattr(error, "strerror", None) or "not a CSV file"}') from None
    if not rows:
        raise MeasuredError(f'{path}: it has no rows')
    missing = {*COLUMNS} - {'source', *rows[0]}
    if missing:
        raise MeasuredError(f'{path}: no column {", ".join(sorted(missing))}; asid evaluate writes such a file')
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

"""The curve of a training as a small CSV and a figure, from the logs of BasicSR.

The CSV has a line for every logged iteration: iter, lr, l_pix, and psnr and ssim after a validation. After a resume,
repeated values come from the later log.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from asid_plugin.files import whole_file
from asid_plugin.plots.style import BLUE, RC, VERMILLION, FigureError

COLUMNS = ('iter', 'lr', 'l_pix', 'psnr', 'ssim')
STEP = re.compile(r'iter: *([\d,]+), lr:\(([\d.e+-]+),.*\bl_pix: ([\d.e+-]+)')
METRIC = re.compile(r'# (psnr|ssim): ([\d.]+)')
SHOWN = 1.5
"""Shown range of PSNR below the highest value, in dB."""

Curve = dict[int, dict[str, float]]
"""Logged values by iteration, then by column."""


def read_log(lines: Iterable[str], curve: Curve) -> None:
    """Add the values of a log; a validation belongs to the last logged iteration before it."""
    last = None
    for line in lines:
        if step := STEP.search(line):
            last = int(step[1].replace(',', ''))
            curve.setdefault(last, {}).update(lr=float(step[2]), l_pix=float(step[3]))
        elif (metric := METRIC.search(line)) and last is not None:
            curve[last][metric[1]] = float(metric[2])


def read_curve(experiment: Path) -> Curve:
    """The curve in the logs of an experiment.

    Raises:
        FigureError: There is no log with iterations.
    """
    curve: Curve = {}
    for log in sorted(filter(Path.is_file, experiment.glob('train_*.log'))):
        read_log(log.read_text(encoding='utf-8', errors='replace').splitlines(), curve)
    if not curve:
        raise FigureError(f'{experiment}: no train_*.log with iterations; name a folder in experiments/')
    return dict(sorted(curve.items()))


def write_csv(curve: Curve, path: Path) -> None:
    """Write the CSV, complete or not at all."""
    with whole_file(path) as unfinished, unfinished.open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
        writer.writeheader()
        writer.writerows({'iter': i, **values} for i, values in curve.items())


def draw(curve: Curve, name: str) -> Figure:
    """Draw the loss, averaged over the last tenth of the iterations, and the PSNR of the held-out images, if any.

    The start of PSNR is cut, where the running average of the weights has only begun.
    """
    window = max(1, len(curve) // 10)
    loss = [values['l_pix'] for values in curve.values()]
    smooth = [sum(part) / len(part) for i in range(len(loss)) for part in [loss[max(0, i + 1 - window) : i + 1]]]
    psnr = {i: values['psnr'] for i, values in curve.items() if 'psnr' in values}
    with rc_context(RC):
        figure = Figure(figsize=(6.4, 2.5), layout='constrained')
        axes = figure.subplots(1, 2 if psnr else 1, squeeze=False)[0]
        axes[0].plot(list(curve), smooth, color=BLUE, linewidth=1)
        axes[0].set(title='L1 loss, averaged', xlabel='iteration')
        if psnr:
            # with a marker, because a single value makes no line
            axes[1].plot(list(psnr), list(psnr.values()), color=VERMILLION, linewidth=1, marker='.')
            axes[1].set(title='PSNR on Y of the held-out images, dB', xlabel='iteration')
            room = SHOWN / 20
            axes[1].set_ylim(max(min(psnr.values()) - room, max(psnr.values()) - SHOWN), max(psnr.values()) + room)
        for ax in axes:
            ax.grid(color='0.9', linewidth=0.6)
            ax.locator_params(axis='x', nbins=5)
        figure.suptitle(name)
    return figure

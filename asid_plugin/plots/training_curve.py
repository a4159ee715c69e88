"""The curve of a training as a small CSV and a figure, from the logs of BasicSR.

The CSV has a line for every logged iteration: iter, lr, l_pix, and psnr and ssim after a validation. Several validation
sets have a column each, such as psnr_Set5. After a resume, repeated values come from the later log.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asid_plugin.files import whole_file
from asid_plugin.plots.style import BLUE, GREEN, ORANGE, RC, VERMILLION, FigureError

STEP = ('iter', 'lr', 'l_pix')
METRICS = ('psnr', 'ssim')
LOGGED_STEP = re.compile(r'iter: *([\d,]+), lr:\(([\d.e+-]+),.*\bl_pix: ([\d.e+-]+)')
VALIDATION = re.compile(r'INFO: Validation (.+)')
METRIC = re.compile(r'# (psnr|ssim): ([\d.]+)')
SHOWN = 1.5
"""Shown range of PSNR below the highest value, in dB."""

Curve = dict[int, dict[str, float]]
"""Logged values by iteration, then by column."""


def read_log(lines: Iterable[str], curve: Curve) -> None:
    """Add the values of a log, metrics as `psnr_NAME`; a validation belongs to the last logged iteration before it."""
    last, name = None, ''
    for line in lines:
        if step := LOGGED_STEP.search(line):
            last = int(step[1].replace(',', ''))
            curve.setdefault(last, {}).update(lr=float(step[2]), l_pix=float(step[3]))
        elif validation := VALIDATION.search(line):
            name = validation[1]
        elif (metric := METRIC.search(line)) and last is not None:
            curve[last][f'{metric[1]}_{name}'] = float(metric[2])


def _metrics(curve: Curve) -> list[str]:
    return [key for key in dict.fromkeys(key for values in curve.values() for key in values) if key not in STEP]


def _without_name(curve: Curve) -> Curve:
    """The curve with `psnr` instead of `psnr_NAME`, if there is a single validation set."""
    if len({key.partition('_')[2] for key in _metrics(curve)}) > 1:
        return curve
    return {
        i: {key if key in STEP else key.partition('_')[0]: value for key, value in values.items()}
        for i, values in curve.items()
    }


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
    return _without_name(dict(sorted(curve.items())))


def write_csv(curve: Curve, path: Path) -> None:
    """Write the CSV, complete or not at all."""
    with whole_file(path) as unfinished, unfinished.open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, [*STEP, *(_metrics(curve) or METRICS)], lineterminator='\n')
        writer.writeheader()
        writer.writerows({'iter': i, **values} for i, values in curve.items())


def _draw_psnr(ax: Axes, psnrs: dict[str, dict[int, float]]) -> None:
    ax.set_prop_cycle(color=[VERMILLION, BLUE, GREEN, ORANGE])
    shown = []
    for label, psnr in psnrs.items():
        # with a marker, because a single value makes no line
        ax.plot(list(psnr), list(psnr.values()), linewidth=1, marker='.', label=label)
        shown += [max(min(psnr.values()), max(psnr.values()) - SHOWN), max(psnr.values())]
    ax.set(title='PSNR on Y of the held-out images, dB', xlabel='iteration')
    ax.set_ylim(min(shown) - SHOWN / 20, max(shown) + SHOWN / 20)
    if len(psnrs) > 1:
        ax.legend()


def draw(curve: Curve, name: str) -> Figure:
    """Draw the loss, averaged over the last tenth of the iterations, and the PSNR of each validation set, if any.

    The start of PSNR is cut, where the running average of the weights has only begun.
    """
    window = max(1, len(curve) // 10)
    loss = [values['l_pix'] for values in curve.values()]
    smooth = [sum(part) / len(part) for i in range(len(loss)) for part in [loss[max(0, i + 1 - window) : i + 1]]]
    psnrs = {
        key.removeprefix('psnr_'): {i: values[key] for i, values in curve.items() if key in values}
        for key in _metrics(curve)
        if key.startswith('psnr')
    }
    with rc_context(RC):
        figure = Figure(figsize=(6.4, 2.5), layout='constrained')
        axes = figure.subplots(1, 2 if psnrs else 1, squeeze=False)[0]
        axes[0].plot(list(curve), smooth, color=BLUE, linewidth=1)
        axes[0].set(title='L1 loss, averaged', xlabel='iteration')
        if psnrs:
            _draw_psnr(axes[1], psnrs)
        for ax in axes:
            ax.grid(color='0.9', linewidth=0.6)
            ax.locator_params(axis='x', nbins=5)
        figure.suptitle(name)
    return figure

"""Figure 5 and the supplement's Figure 2: one detail of an image from several methods, side by side."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import skimage.data
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from tqdm import tqdm

from asid_plugin.checkpoints import packaged_name, packaged_scales
from asid_plugin.evaluate.benchmarks import Pair, Pixels, Sample, load_sample
from asid_plugin.evaluate.methods import Candidate, Running, load_candidates
from asid_plugin.evaluate.protocol import downscale, measure
from asid_plugin.evaluate.results import EvaluationError
from asid_plugin.inference.devices import choose_device
from asid_plugin.plots.style import RC, FigureError, bare, check_output, outline, save
from asid_plugin.printable import printable
from asid_plugin.published.reported import Figures
from asid_plugin.tf32 import allow_tf32

Box = tuple[int, int, int, int]
"""Left, top, width and height in HR pixels."""

# Inches.
_CROP_WIDTH, _CROP_HEIGHT, _LEAST_COLUMN = 1.25, 1.8, 1.0
_WHOLE_WIDTH = 4.0
_CAPTION, _GAP = 0.32, 0.06


@dataclass(frozen=True)
class Result:
    """The picture from a method, (H, W, 3) uint8 RGB, and the figures of the whole picture."""

    name: str
    pixels: Pixels
    figures: Figures


def run(sample: Sample, candidates: Sequence[Candidate], scale: int) -> list[Result]:
    """Upscale an image by each candidate and measure, with a progress bar if it takes long.

    Raises:
        EvaluationError: A candidate fails; the message names it.
    """
    results = []
    for candidate in tqdm(candidates, desc=sample.name, unit='method', leave=False, delay=1, disable=None):
        try:
            sr = candidate(sample)
        except EvaluationError as error:
            raise EvaluationError(f'{candidate.method.name} on {sample.name}: {error}') from error
        results.append(Result(candidate.method.name, sr, measure(sr, sample.hr, scale)))
    return results


def worst_box(hr: Pixels, sr: Pixels, border: int) -> Box:
    """The square with the largest squared error between an SR image and HR.

    Args:
        hr: (H, W, 3).
        sr: Of the same size.
        border: Ignored pixels on each side, as in PSNR. (The square may include them.)

    Returns:
        A square with a quarter of the shorter side, at least 24 pixels, at most that side.
    """
    height, width = hr.shape[:2]
    side = min(max(min(height, width) // 4, 24), height, width)
    error = np.zeros((height, width), np.float32)
    inner = slice(border, height - border), slice(border, width - border)
    error[inner] = np.square(hr[inner].astype(np.float32) - sr[inner]).sum(axis=2)
    # At each pixel the sum over the square that begins there.
    sums = cv2.boxFilter(error, -1, (side, side), anchor=(0, 0), normalize=False)
    whole = sums[: height - side + 1, : width - side + 1]
    top, left = np.unravel_index(whole.argmax(), whole.shape)
    return int(left), int(top), side, side


def draw(
    sample: Sample, results: Sequence[Result], box: Box, scale: int, columns: int | None = None, how: str = ''
) -> Figure:
    """Draw the whole HR image with the box, and beside it the box of HR and of every result.

    Args:
        sample: The image.
        results: Results for the image, at least one.
        box: The shown detail, inside the image.
        scale: k, for the caption.
        columns: Columns of details; by default as many as two rows need.
        how: Way of running networks, for the caption: ', by tiles'.
    """
    crops = [('HR', 'PSNR / SSIM', sample.hr)]
    crops += [(r.name, str(r.figures), r.pixels) for r in results]
    columns = min(columns or math.ceil(len(crops) / 2), len(crops))
    left, top, width, height = box
    inches = min(_CROP_WIDTH / width, _CROP_HEIGHT / height)  # of a pixel
    column = max(inches * width, _LEAST_COLUMN)
    line = inches * height + _CAPTION
    total = math.ceil(len(crops) / columns) * line

    hr_height, hr_width = sample.hr.shape[:2]
    ratio = min((total - _CAPTION) / hr_height, _WHOLE_WIDTH / hr_width)
    whole_width, whole_height = ratio * hr_width, ratio * hr_height
    left_column = max(whole_width, _LEAST_COLUMN)
    with rc_context(RC):
        figure = Figure(figsize=(left_column + columns * (column + _GAP) + 2 * _GAP, total + _GAP))
        FigureCanvasAgg(figure)
        ax = _show(figure, sample.hr, (_GAP + (left_column - whole_width) / 2, _GAP, whole_width, whole_height))
        outline(ax, left - 0.5, top - 0.5, width, height)
        _caption(figure, _GAP + left_column / 2, _GAP + whole_height, left_column, f'{sample.name} (×{scale}{how})')
        for i, (name, figures, pixels) in enumerate(crops):
            x = left_column + 2 * _GAP + i % columns * (column + _GAP)
            y = _GAP + i // columns * line
            place = x + (column - inches * width) / 2, y, inches * width, inches * height
            _show(figure, pixels[top : top + height, left : left + width], place, 'nearest')
            _caption(figure, x + column / 2, y + inches * height, column, name, figures)
    return figure


def _show(
    figure: Figure, pixels: Pixels, place: tuple[float, float, float, float], interpolation: str | None = None
) -> Axes:
    """Axes with an image and no frame, at left, top, width and height in inches from the figure's upper left corner."""
    left, top, width, height = place
    total_width, total_height = figure.get_size_inches()
    ax = figure.add_axes(
        (left / total_width, 1 - (top + height) / total_height, width / total_width, height / total_height)
    )
    ax.imshow(pixels, interpolation=interpolation, aspect='auto')
    ax.spines[:].set_visible(False)
    bare(ax)
    return ax


def _caption(figure: Figure, centre: float, top: float, width: float, *lines: str) -> None:
    """Lines below an image, in a smaller font if needed, and shortened by an ellipsis if still too long."""
    total_width, total_height = figure.get_size_inches()
    for i, line in enumerate(lines):
        y = 1 - (top + 0.12 + 0.13 * i) / total_height
        text = figure.text(centre / total_width, y, line, ha='center', va='baseline', size=7.5)
        text.set_fontsize(max(7.5 / max(_width_of(text, figure) / width, 1), 5))
        kept = len(line)
        while _width_of(text, figure) > width and kept > 2:
            kept -= 1
            text.set_text(f'{line[: (kept + 1) // 2]}…{line[-(kept // 2) :]}')


def _width_of(text: Text, figure: Figure) -> float:
    """The width of a drawn text in inches."""
    return text.get_window_extent().width / figure.dpi


def main(args: argparse.Namespace) -> None:
    """Write Figure 5.

    Raises:
        FigureError: An argument is invalid, or the figure cannot be written.
        EvaluationError: An image or a network cannot be used.
    """
    check_output(args.output)
    _check(args)
    sample = _sample(args)
    height, width = sample.hr.shape[:2]
    if args.box:
        x, y, w, h = args.box
        if min(x, y) < 0 or min(w, h) < 1 or x + w > width or y + h > height:
            raise FigureError(f'--box {x} {y} {w} {h}: not inside the HR image of {width}x{height} pixels')
    allow_tf32(False)
    running = Running(args.scale, [args.how], device=choose_device('auto'))
    networks = args.network or _packaged(args.scale)
    results = run(sample, load_candidates(networks, running), args.scale)
    box = tuple(args.box or worst_box(sample.hr, results[0].pixels, args.scale))
    how = f', {"by tiles" if args.how == "tiles" else "whole"}' if networks else ''
    save(draw(sample, results, box, args.scale, args.columns, how), args.output, dpi=300)
    print(f'{printable(sample.name)}, the detail is --box {" ".join(map(str, box))}')


def _check(args: argparse.Namespace) -> None:
    if args.scale < 1:
        raise FigureError(f'--scale {args.scale}: should be 1 or more')
    if args.columns is not None and args.columns < 1:
        raise FigureError(f'--columns {args.columns}: should be 1 or more')
    if args.lq and not args.gt:
        raise FigureError(f'--lq {args.lq}: needs its HR image, --gt FILE')


def _packaged(scale: int) -> list[str]:
    """The packaged weights of a scale as a list of SPECs; empty if there are none."""
    return [packaged_name(scale)] if scale in packaged_scales() else []


def _sample(args: argparse.Namespace) -> Sample:
    if args.gt:
        return load_sample(Pair(args.gt.stem, args.gt, args.lq), args.scale)
    photograph = skimage.data.chelsea()
    if args.scale > 8:
        raise FigureError(f'--scale {args.scale}: at most 8 for the photograph; --gt FILE allows more')
    height, width = (side - side % args.scale for side in photograph.shape[:2])
    hr = np.ascontiguousarray(photograph[:height, :width])
    return Sample('chelsea', '', hr, downscale(hr, args.scale))

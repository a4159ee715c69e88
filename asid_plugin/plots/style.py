"""The style of figures, and functions to write them."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from asid_plugin.errors import ASIDError
from asid_plugin.files import whole_file
from asid_plugin.printable import printable

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType  # older versions of matplotlib lack it

# Okabe and Ito's palette, for colour-blind readers.
ORANGE, GREEN, BLUE, VERMILLION = '#E69F00', '#009E73', '#0072B2', '#D55E00'

RC: 'dict[RcKeyType, Any]' = {
    'font.family': 'DejaVu Sans',  # comes with matplotlib
    'font.size': 8,
    'axes.titlesize': 8,
    'axes.linewidth': 0.6,
    'text.parse_math': False,  # names from users may contain a $
    'svg.fonttype': 'none',  # write text as text
    'svg.hashsalt': 'asid',  # reproducible bytes
    'pdf.fonttype': 42,
}
"""Settings for `matplotlib.rc_context`."""

FIGURE_SUFFIXES = ('.png', '.pdf', '.svg')


class FigureError(ASIDError):
    """A figure that cannot be drawn; the message is one line with the reason and the remedy."""


def check_output(path: Path) -> None:
    """Raise a `FigureError` for an unknown format, before long computations."""
    if path.suffix.lower() not in FIGURE_SUFFIXES:
        raise FigureError(
            f'{path}: figures are written as {", ".join(FIGURE_SUFFIXES)}, not {path.suffix or "without suffix"}'
        )


def save(figure: Figure, path: Path, dpi: int = 200) -> None:
    """Write a figure, complete or not at all, in the format of the suffix, and print its path.

    Raises:
        FigureError: The format is not one of `FIGURE_SUFFIXES`, or the file cannot be written.
    """
    check_output(path)
    kind = path.suffix[1:].lower()
    metadata = {'svg': {'Date': None}, 'pdf': {'CreationDate': None}}.get(kind)
    content = BytesIO()  # matplotlib's PDF writer raises different errors for a full disk
    with rc_context(RC):
        figure.savefig(content, format=kind, dpi=dpi, metadata=metadata)
    try:
        with whole_file(path) as unfinished:
            unfinished.write_bytes(content.getbuffer())
    except OSError as error:
        raise FigureError(f'{path}: {error.strerror}') from error
    print(printable(f'wrote {path}'))


def outline(ax: Axes, left: float, top: float, width: float, height: float, linewidth: float = 0.9) -> None:
    """Draw a frame around a part of an image in black and white, visible on any background."""
    for colour, thickness in (('black', 2.2 * linewidth), ('white', linewidth)):
        frame = Rectangle((left, top), width, height, fill=False, edgecolor=colour, linewidth=thickness, clip_on=False)
        ax.add_patch(frame)


def bare(ax: Axes) -> None:
    """Remove the ticks from axes with an image."""
    ax.set(xticks=[], yticks=[])

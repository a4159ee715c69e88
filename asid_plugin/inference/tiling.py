"""Run any network on an image by overlapping tiles, and by self-ensemble."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from asid_plugin.archs.windowed import WindowedSR, whole_windows
from asid_plugin.tiles import BORDERS, OVERLAP, TILE, TILE_BATCH

Network = Callable[[Tensor], Tensor]
"""Maps (B, C, H, W) to (B, C, kH, kW)."""


Span = tuple[int, int]
"""First pixel and number of pixels of a tile along one side."""


@dataclass(frozen=True)
class Windows:
    """The windows of a network, to align tiles with them, so that the network need not pad.

    Attributes:
        size: Side P of a window.
    """

    size: int

    @property
    def least(self) -> int:
        """The shortest side that the network does not pad, a multiple of P."""
        return whole_windows(1, self.size)

    @classmethod
    def of(cls, net: object, borders: str = 'flush') -> 'Windows | None':
        """The windows for the tiles of a network; None if it has none, or if `borders` is 'zeros'.

        Raises:
            ValueError: `borders` is not one of `BORDERS`.
        """
        if borders not in BORDERS:
            raise ValueError(f'borders must be {" or ".join(BORDERS)}, got {borders!r}')
        return cls(net.window_size) if isinstance(net, WindowedSR) and borders == 'flush' else None

    def spans(self, length: int, tile: int | None, overlap: int) -> list[Span]:
        """Tiles of whole windows along a side of `length` pixels, the last one flush with the border.

        `tile` is rounded down to whole windows within the limits of the network and the side, and `overlap` is scaled
        with it. A side of less than `least` pixels is one span, for `extend`.
        """
        if length <= self.least:
            return [(0, length)]
        longest = length // self.size * self.size
        if tile:
            fitting = max(min(tile // self.size * self.size, longest), self.least)
            return [(start, fitting) for start in tile_starts(length, fitting, overlap * fitting // tile)]
        if longest == length:
            return [(0, length)]
        # a tile for all but some pixels, and a band along the border with the rest
        band = min(longest, max(TILE // self.size * self.size, self.least))
        return [(0, longest), (length - band, band)]

    def extend(self, lq: Tensor) -> Tensor:
        """Mirror (B, C, H, W) at the bottom and right up to `least`; larger sides are unchanged.

        The pixel at the border is repeated, as in MATLAB. For images of 8 to 14 pixels, the packaged x2 then has 1.0 dB
        more than with a replicated border, and 1.3 dB more than with a reflection without repetition.
        """
        if min(lq.shape[2:]) >= self.least:
            return lq
        y, x = (_mirrored(side, max(side, self.least)).to(lq.device) for side in lq.shape[2:])
        return lq[:, :, y[:, None], x]


def _mirrored(side: int, length: int) -> Tensor:
    """The source of each of `length` pixels, mirrored from `side` pixels: of 3 for 8, 0 1 2 2 1 0 0 1."""
    place = torch.arange(length) % (2 * side)
    return place.minimum(2 * side - 1 - place)


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """First pixels of the tiles along one side: `tile - overlap` apart, the last one flush with the border.

    A side of at most `tile` pixels is one tile.
    """
    if length <= tile:
        return [0]
    return [*range(0, length - tile, tile - overlap), length - tile]


def spans(length: int, tile: int | None, overlap: int, windows: Windows | None = None) -> list[Span]:
    """Tiles along a side of `length` pixels; without `windows`, the network pads them if needed."""
    if windows:
        return windows.spans(length, tile, overlap)
    tile = min(tile or length, length)
    return [(start, tile) for start in tile_starts(length, tile, overlap)]


def tiles_at_once(tile: int) -> int:
    """The number of tiles of a size that need no more memory than `TILE_BATCH` tiles of `TILE` pixels a side."""
    tile = max(tile, whole_windows(1, 1))  # smaller ones are extended
    return max(1, TILE_BATCH * TILE**2 // tile**2)


def ramp(length: int, overlap: int) -> Tensor:
    """Weights that rise over `overlap` pixels from both ends of a side of `length` pixels, never zero."""
    from_end = torch.arange(1, length + 1).minimum(torch.arange(length, 0, -1))
    return from_end.clamp(max=overlap + 1).float()


def tiled(
    net: Network,
    lq: Tensor,
    upscale: int,
    tile: int | None = TILE,
    overlap: int = OVERLAP,
    batch: int = TILE_BATCH,
    feather: bool = False,
    windows: Windows | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Upscale by tiles and average where they overlap.

    Args:
        net: The network.
        lq: (B, C, H, W).
        upscale: Scale k of the network.
        tile: As in `tiled_rows`, like the following ones.
        overlap: Overlap of neighbouring tiles in LR pixels.
        batch: Tiles in a batch.
        feather: Blend tiles towards their edges.
        windows: Use tiles of whole windows.
        progress: Called after each batch.

    Returns:
        (B, C, kH, kW).

    Raises:
        ValueError: As in `tiled_rows`.
    """
    strips = tiled_rows(net, lq, upscale, tile, overlap, batch, feather, windows, progress)
    return torch.cat([strip.to(lq.dtype) for strip in strips], 2)


def tiled_rows(
    net: Network,
    lq: Tensor,
    upscale: int,
    tile: int | None = TILE,
    overlap: int = OVERLAP,
    batch: int = TILE_BATCH,
    feather: bool = False,
    windows: Windows | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Tensor]:
    """Upscale by tiles, and yield rows as soon as they are complete.

    Args:
        net: The network.
        lq: (B, C, H, W), of any data type for `net`.
        upscale: Scale k of the network.
        tile: Side of a tile, LR pixels; None for the whole image.
        overlap: Overlap of neighbouring tiles in LR pixels, less than `tile`.
        batch: Tiles in a batch.
        feather: Weight pixels of a tile less towards its edge, to avoid visible seams. Without it, all weights are
            equal, as in the protocol of the released figures.
        windows: Use tiles of whole windows, flush with the borders, and mirror an image that is too small for the
            network. Without it, the network pads with zeros, as in the paper's protocol.
        progress: Called after each batch with (tiles done, tiles in all).

    Yields:
        (B, C, some rows, kW) from top to bottom, float32, or the data type of the output of `net` if it is more
        precise.

    Raises:
        ValueError: `tile`, `overlap` or `batch` out of range.
    """
    if (tile is not None and not 0 <= overlap < tile) or batch < 1:
        raise ValueError(f'need tile > overlap >= 0 and batch >= 1, got tile {tile}, overlap {overlap}, batch {batch}')
    height, width = lq.shape[2:]
    rows, columns = (spans(side, tile, overlap, windows) for side in (height, width))
    fade = [upscale * overlap if feather and len(places) > 1 else 0 for places in (rows, columns)]
    pieces = [lq[:, :, y : y + h, x : x + w] for y, h in rows for x, w in columns]
    outputs = _outputs(net, pieces, upscale, batch, windows, progress)
    begun: tuple[Tensor, Tensor] | None = None  # sums and weights of rows of the tiles above
    for index, (y, h) in enumerate(rows):
        total, count = _add_tiles(outputs, columns, (upscale * h, upscale * width), fade, upscale, begun)
        end = rows[index + 1][0] if index + 1 < len(rows) else height
        finished = upscale * (end - y)
        yield total[:, :, :finished] / count[:finished]
        begun = total[:, :, finished:], count[finished:]


def _outputs(
    net: Network,
    pieces: Sequence[Tensor],
    upscale: int,
    batch: int,
    windows: Windows | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Tensor]:
    """The network's output for each piece; neighbours of equal size form a batch."""
    done = 0
    groups = (list(group) for _, group in groupby(pieces, lambda piece: piece.shape))
    for chosen in (group[i : i + batch] for group in groups for i in range(0, len(group), batch)):
        joined = torch.cat(chosen)
        outputs = net(windows.extend(joined) if windows else joined)
        outputs = outputs[..., : upscale * joined.shape[2], : upscale * joined.shape[3]]
        done += len(chosen)
        if progress:
            progress(done, len(pieces))
        yield from outputs.to(torch.promote_types(outputs.dtype, torch.float32)).chunk(len(chosen))


def _add_tiles(
    outputs: Iterator[Tensor],
    columns: Sequence[Span],
    size: tuple[int, int],
    fade: Sequence[int],
    upscale: int,
    begun: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """Add the weighted outputs of one row of tiles to the unfinished rows; `size` is in SR pixels."""
    total: Tensor | None = None
    for x, width in columns:
        output = next(outputs)
        if total is None:
            total, count = output.new_zeros(*output.shape[:2], *size), output.new_zeros(size)
            if begun:
                total[:, :, : begun[0].shape[2]] += begun[0]
                count[: len(begun[1])] += begun[1]
        weight = torch.outer(ramp(size[0], fade[0]), ramp(upscale * width, fade[1])).to(output.device)
        place = (..., slice(upscale * x, upscale * (x + width)))
        total[place] += output * weight
        count[place] += weight
    assert total is not None  # there is a column at least
    return total, count


def _symmetries() -> Iterator[tuple[int, bool]]:
    for quarter_turns in range(4):
        for mirror in (False, True):
            yield quarter_turns, mirror


def self_ensemble(net: Network, lq: Tensor) -> Tensor:
    """Average the network over the eight flips and rotations of its input (EDSR's "+", geometric self-ensemble).

    Args:
        net: The network.
        lq: (B, C, H, W).

    Returns:
        (B, C, kH, kW).
    """
    outputs = []
    for quarter_turns, mirror in _symmetries():
        turned = lq.rot90(quarter_turns, (2, 3))
        output = net(turned.flip(3) if mirror else turned)
        output = output.flip(3) if mirror else output
        outputs.append(output.rot90(-quarter_turns, (2, 3)))
    return torch.stack(outputs).mean(0)

"""Super-resolution by overlapping tiles, and by self-ensemble: ways to run any network on an image."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from asid_plugin.tiles import OVERLAP, TILE, TILE_BATCH

Network = Callable[[Tensor], Tensor]
"""Maps (B, C, H, W) to (B, C, kH, kW)."""


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """First pixels of the tiles along one side: `tile - overlap` apart, the last one flush with the border.

    A side of at most `tile` pixels is one tile.
    """
    if length <= tile:
        return [0]
    return [*range(0, length - tile, tile - overlap), length - tile]


def tiles_at_once(tile: int) -> int:
    """How many tiles of a size need no more memory than `TILE_BATCH` tiles of `TILE` pixels a side."""
    return max(1, TILE_BATCH * TILE**2 // tile**2)


def ramp(length: int, overlap: int) -> Tensor:
    """Weights that rise over `overlap` pixels from both ends of a side of `length` pixels, never zero."""
    from_end = torch.arange(1, length + 1).minimum(torch.arange(length, 0, -1))
    return from_end.clamp(max=overlap + 1).float()


def tiled(
    net: Network,
    lq: Tensor,
    upscale: int,
    tile: int = TILE,
    overlap: int = OVERLAP,
    batch: int = TILE_BATCH,
    feather: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Upscale by tiles and average where they overlap.

    Args:
        net: The network.
        lq: (B, C, H, W).
        upscale: Scale k of the network.
        tile: Side of a tile, LR pixels.
        overlap: LR pixels that neighbouring tiles share, less than `tile`.
        batch: Tiles that go through the network at once.
        feather: Let a tile count the less, the nearer to its edge a pixel is, so that no seams are seen. Without, all
            count the same, which is the protocol of the released figures.
        progress: Called after each batch with (tiles done, tiles in all).

    Returns:
        (B, C, kH, kW).

    Raises:
        ValueError: `tile`, `overlap` or `batch` out of range.
    """
    if tile < 1 or not 0 <= overlap < tile or batch < 1:
        raise ValueError(f'need tile > overlap >= 0 and batch >= 1, got tile {tile}, overlap {overlap}, batch {batch}')
    height, width = lq.shape[2:]
    corners = [(y, x) for y in tile_starts(height, tile, overlap) for x in tile_starts(width, tile, overlap)]
    pieces = [lq[:, :, y : y + tile, x : x + tile] for y, x in corners]
    fade = [upscale * overlap if feather and side > tile else 0 for side in (height, width)]
    rows, columns = (ramp(upscale * side, over) for side, over in zip(pieces[0].shape[2:], fade, strict=True))
    weight = torch.outer(rows, columns).to(lq.device)

    total: Tensor | None = None
    count = weight.new_zeros(height * upscale, width * upscale)
    for i in range(0, len(pieces), batch):
        chosen = pieces[i : i + batch]
        outputs = net(torch.cat(chosen)).to(torch.promote_types(lq.dtype, torch.float32)).chunk(len(chosen))
        if total is None:
            total = outputs[0].new_zeros(*outputs[0].shape[:2], *count.shape)
        for (y, x), output in zip(corners[i:], outputs, strict=False):
            place = (..., _scaled(y, output.shape[2], upscale), _scaled(x, output.shape[3], upscale))
            total[place] += output * weight
            count[place] += weight
        if progress:
            progress(min(i + batch, len(pieces)), len(pieces))
    assert total is not None  # there is a tile at least
    return total.div_(count).to(lq.dtype)


def _scaled(start: int, length: int, upscale: int) -> slice:
    """SR pixels of a tile that starts at LR pixel `start` and is `length` SR pixels long."""
    return slice(start * upscale, start * upscale + length)


def _symmetries() -> Iterator[tuple[int, bool]]:
    for quarter_turns in range(4):
        for mirror in (False, True):
            yield quarter_turns, mirror


def self_ensemble(net: Network, lq: Tensor) -> Tensor:
    """Average the network over the eight flips and quarter turns of its input (EDSR's "+", geometric self-ensemble).

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

"""Tiles, windows that are flush with the borders, and self-ensemble against their definitions."""

from itertools import pairwise, product

import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asid_plugin.archs import ASID, OmniSR
from asid_plugin.checkpoints import load_asid
from asid_plugin.inference.tiling import Windows, self_ensemble, tile_starts, tiled, tiled_rows, tiles_at_once
from asid_plugin.tiles import TILE, TILE_BATCH


def nearest(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=3, mode='nearest')


@pytest.mark.parametrize(
    ('length', 'starts'),
    [(40, [0]), (64, [0]), (65, [0, 1]), (104, [0, 40]), (105, [0, 40, 41]), (200, [0, 40, 80, 120, 136])],
)
def test_tile_starts_of_the_paper(length: int, starts: list[int]):
    """64 with overlap 24: stride 40, the last tile flush with the border."""
    assert tile_starts(length, 64, 24) == starts


@pytest.mark.parametrize('size', [(10, 90), (64, 64), (130, 71)])
@pytest.mark.parametrize('batch', [1, 5])
@pytest.mark.parametrize('feather', [False, True])
def test_a_pixelwise_network_gives_the_whole_image(size: tuple[int, int], batch: int, feather: bool):
    x = torch.rand(2, 3, *size)
    torch.testing.assert_close(tiled(nearest, x, 3, batch=batch, feather=feather), nearest(x))


def test_overlaps_are_averaged_with_equal_weights():
    """A network that marks its tiles 1, 2, 3, ...: along a row of 3 tiles the overlaps are 1.5 and 2.5."""
    calls = iter(range(1, 4))
    y = tiled(lambda x: torch.full_like(x, next(calls)), torch.zeros(1, 1, 8, 20), 1, tile=8, overlap=2, batch=1)
    assert y[0, 0, 0].tolist() == [1.0] * 6 + [1.5] * 2 + [2.0] * 4 + [2.5] * 2 + [3.0] * 6
    assert (y == y[:, :, :1]).all()


def test_feathered_tiles_have_no_seams():
    """Of tiles that are 1, 2, 3 all over, the result changes gradually instead of by steps of a half."""
    calls = iter(range(1, 4))
    y = tiled(lambda x: torch.full_like(x, next(calls)), torch.zeros(1, 1, 8, 80), 1, 32, 8, batch=1, feather=True)
    row = y[0, 0, 0]
    assert row[0] == 1 and row[40] == 2 and row[-1] == 3
    assert row.diff().min() >= 0 and row.diff().max() < 0.15


def test_progress_and_precision():
    seen = []
    y = tiled(nearest, torch.rand(1, 3, 70, 70).half(), 3, batch=3, progress=lambda *done: seen.append(done))
    assert seen == [(3, 4), (4, 4)]
    assert y.dtype == torch.float16


@pytest.mark.parametrize('arguments', [{'tile': 0}, {'tile': 8, 'overlap': 8}, {'overlap': -1}, {'batch': 0}])
def test_impossible_arguments(arguments: dict):
    with pytest.raises(ValueError, match='tile'):
        tiled(nearest, torch.rand(1, 3, 9, 9), 3, **arguments)


def test_self_ensemble_is_symmetric():
    """Of a network that prefers one direction it makes one that prefers none."""

    def drift(x: Tensor) -> Tensor:
        return nearest(x.roll(1, 3) + 0.3 * x.roll(1, 2))

    x = torch.rand(1, 3, 10, 14)
    y = self_ensemble(drift, x)
    assert y.shape == (1, 3, 30, 42)
    for k, flip in ((1, False), (2, True), (3, False)):
        turned = x.rot90(k, (2, 3)).flip(3) if flip else x.rot90(k, (2, 3))
        expected = y.rot90(k, (2, 3)).flip(3) if flip else y.rot90(k, (2, 3))
        torch.testing.assert_close(self_ensemble(drift, turned), expected)


# Windows that are flush with the borders.

TILES = (None, 4, 16, 20, 56, 60, 64, 100)


def overlaps(tile: int | None) -> list[int]:
    """None, the paper's 24, half a tile, and as many as there can be."""
    return [24] if tile is None else sorted({0, min(24, tile - 1), tile // 2, tile - 1})


@pytest.mark.parametrize('size', [5, 8, 16, 24, 100])
@pytest.mark.parametrize('tile', TILES)
def test_spans_are_whole_windows_that_cover_a_side(tile: int | None, size: int):
    windows = Windows(size)
    least = {5: 20, 8: 16, 16: 16, 24: 24, 100: 100}[size]
    assert windows.least == least
    for length, overlap in product(range(1, 201), overlaps(tile)):
        spans = windows.spans(length, tile, overlap)
        starts, sides = zip(*spans, strict=True)
        assert starts[0] == 0 and starts[-1] + sides[-1] == length
        if length < least:
            assert spans == [(0, length)]
            continue
        assert all(side % size == 0 and side >= least for side in sides)
        assert all(a < b for a, b in pairwise(starts))
        # no gap, and where a tile is asked for as many shared pixels for its side as were asked for
        shared = [start + side - following for (start, side), following in zip(spans, starts[1:], strict=False)]
        assert min(shared, default=sides[0]) >= (overlap * sides[0] // tile if tile else 0)
        if tile:
            assert len({*sides}) == 1 and sides[0] <= max(tile, least)
        if length % size == 0 and (tile is None or length <= tile):
            assert spans == [(0, length)]


@pytest.mark.parametrize(
    ('length', 'tile', 'overlap', 'spans'),
    [
        (57, 64, 24, [(0, 56), (1, 56)]),
        (60, 64, 24, [(0, 56), (4, 56)]),
        (64, 64, 24, [(0, 64)]),
        (105, 64, 24, [(0, 64), (40, 64), (41, 64)]),  # the paper's own
        (100, 60, 30, [(0, 56), (28, 56), (44, 56)]),
        (40, 20, 16, [(0, 16), (4, 16), (8, 16), (12, 16), (16, 16), (20, 16), (24, 16)]),  # as many as if 20 would do
        (15, 64, 24, [(0, 15)]),
        (17, 64, 24, [(0, 16), (1, 16)]),
        (200, None, 24, [(0, 200)]),
        (203, None, 24, [(0, 200), (139, 64)]),
        (60, None, 24, [(0, 56), (4, 56)]),
    ],
)
def test_spans_by_hand(length: int, tile: int | None, overlap: int, spans: list[tuple[int, int]]):
    assert Windows(8).spans(length, tile, overlap) == spans


def by_place(x: Tensor) -> Tensor:
    """A network at x2 whose output depends on where in the tile a pixel is, and on nothing beside the pixel."""
    assert x.shape[2] % 8 == x.shape[3] % 8 == 0 and min(x.shape[2:]) >= 16, 'padding would reach the network'
    y, x_ = (torch.linspace(0.5, 1.5, side, dtype=x.dtype) for side in x.shape[2:])
    return (x * y[:, None] * x_).repeat_interleave(2, 2).repeat_interleave(2, 3)


def reference(lq: np.ndarray, tile: int | None, overlap: int, feather: bool) -> np.ndarray:
    """`by_place` by tiles of 8 x n pixels in plain loops; lq (H, W), float64."""

    def places(side: int) -> list[tuple[int, int]]:
        if side <= 16:
            return [(0, side)]
        whole = side - side % 8
        if tile is None:
            return [(0, side)] if whole == side else [(0, whole), (side - min(whole, 64), min(whole, 64))]
        inside = max(16, min(whole, tile - tile % 8))
        step, start, found = inside - overlap * inside // tile, 0, []
        while start + inside < side:
            found.append((start, inside))
            start += step
        return [*found, (side - inside, inside)]

    def weights(length: int, number: int) -> np.ndarray:
        if not feather or number == 1:
            return np.ones(2 * length)
        return np.array([min(i + 1, 2 * length - i, 2 * overlap + 1) for i in range(2 * length)], float)

    height, width = lq.shape
    total, count = np.zeros((2, 2 * height, 2 * width))
    rows, columns = places(height), places(width)
    for (y, h), (x, w) in product(rows, columns):
        piece = lq[y : y + h, x : x + w]
        grown = np.pad(piece, ((0, max(0, 16 - h)), (0, max(0, 16 - w))), mode='symmetric')
        by_row, by_column = (np.linspace(0.5, 1.5, side) for side in grown.shape)
        sr = np.kron(grown * np.outer(by_row, by_column), np.ones((2, 2)))[: 2 * h, : 2 * w]
        weight = np.outer(weights(h, len(rows)), weights(w, len(columns)))
        total[2 * y : 2 * (y + h), 2 * x : 2 * (x + w)] += sr * weight
        count[2 * y : 2 * (y + h), 2 * x : 2 * (x + w)] += weight
    return total / count


SIZES = [(1, 1), (1, 30), (7, 16), (15, 15), (16, 17), (20, 9), (24, 57), (56, 56), (57, 60), (63, 65), (83, 39)]


@pytest.mark.parametrize('feather', [False, True])
@pytest.mark.parametrize('tile', TILES)
def test_no_padding_reaches_the_network_and_the_values_are_right(tile: int | None, feather: bool):
    for size, overlap in product(SIZES, {0, tile // 2} if tile else {24}):
        lq = torch.rand(*size, dtype=torch.float64)
        strips = list(tiled_rows(by_place, lq[None, None], 2, tile, overlap, 3, feather, Windows(8)))
        assert all(strip.shape[2] > 0 and strip.shape[3] == 2 * size[1] for strip in strips)
        assert sum(strip.shape[2] for strip in strips) == 2 * size[0]
        rows = torch.cat(strips, 2)
        np.testing.assert_allclose(rows[0, 0].numpy(), reference(lq.numpy(), tile, overlap, feather), rtol=1e-12)
        whole = tiled(by_place, lq[None, None], 2, tile, overlap, 3, feather, Windows(8))
        assert torch.equal(whole, rows), 'the strips, joined'


@pytest.mark.slow
@pytest.mark.parametrize('feather', [False, True])
def test_a_network_that_does_not_mind_where_a_pixel_is_gives_the_whole_image(feather: bool):
    """Every side from 1 to 200, the other one anything; the images and the weights are small integers, so exactly."""
    rng = np.random.default_rng(0)
    for height in range(1, 201):
        width, tile = int(rng.integers(1, 40)), TILES[height % len(TILES)]
        lq = torch.from_numpy(rng.integers(0, 256, (2, 1, height, width))).double()
        y = tiled(nearest, lq, 3, tile, tile // 4 if tile else 24, 64, feather, Windows(8))
        torch.testing.assert_close(y, nearest(lq), rtol=1e-13, atol=0)


def test_rows_come_before_the_tiles_below_are_run():
    calls: list[int] = []

    def net(x: Tensor) -> Tensor:
        calls.append(len(x))
        return nearest(x)

    rows = tiled_rows(net, torch.rand(1, 3, 200, 64), 3, 64, 24, batch=1, windows=Windows(8))
    first = next(rows)
    assert first.shape == (1, 3, 3 * 40, 192) and calls == [1]
    assert [strip.shape[2] for strip in rows] == [3 * 40, 3 * 40, 3 * 16, 3 * 64] and len(calls) == 5


@pytest.mark.parametrize('kind', [torch.uint8, torch.int32, torch.float16, torch.float32])
@pytest.mark.parametrize('size', [(1, 1), (3, 40), (9, 12), (16, 5), (16, 16), (20, 30)])
def test_small_images_are_mirrored_as_numpy_does(size: tuple[int, int], kind: torch.dtype):
    lq = (torch.rand(2, 3, *size) * 255).to(kind)
    more = [(0, 0), (0, 0), *((0, max(0, 16 - side)) for side in size)]
    assert np.array_equal(Windows(8).extend(lq).numpy(), np.pad(lq.numpy(), more, mode='symmetric'))


@pytest.mark.slow
@pytest.mark.parametrize('build', [ASID, OmniSR])
def test_the_tiles_of_a_network_need_none_of_its_padding(build: type[ASID | OmniSR]):
    net = build(num_feat=16, num_block=1, upscale=2)
    windows = Windows.of(net)
    seen = []
    net.eval().register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[2:]))
    for size, tile in product([(5, 33), (17, 57), (61, 70)], (None, 20, 64)):
        lq = torch.rand(1, 3, *size)
        with torch.no_grad():
            assert tiled(net, lq, 2, tile, 7, windows=windows).shape[2:] == (2 * size[0], 2 * size[1])
    assert all(net.padded_size(*shape) == [*shape] for shape in seen)


@pytest.mark.slow
def test_flush_tiles_of_a_network_by_hand():
    """57x60 pixels: four squares of 56, one flush with each corner."""
    torch.manual_seed(0)
    net = ASID(num_feat=16, num_block=1, upscale=2).eval()
    lq = torch.rand(1, 3, 57, 60)
    total, count = torch.zeros(1, 3, 114, 120), torch.zeros(114, 120)
    with torch.no_grad():
        for y, x in product((0, 1), (0, 4)):
            place = ..., slice(2 * y, 2 * y + 112), slice(2 * x, 2 * x + 112)
            total[place] += net(lq[:, :, y : y + 56, x : x + 56])
            count[place] += 1
        for tile in (56, 60, 63, 64, 100):
            torch.testing.assert_close(tiled(net, lq, 2, tile, 8, windows=Windows.of(net)), total / count)
        zeros = tiled(net, lq, 2, 64, 8)
        torch.testing.assert_close(zeros, net(lq))
    assert (zeros - total / count).abs().max() > 1e-3, 'else this shows nothing'


def test_of_which_networks_the_windows_are():
    net = ASID(num_feat=16, num_block=1, upscale=2, window_size=4)
    assert Windows.of(net) == Windows.of(net, 'flush') == Windows(4)
    assert Windows.of(net, 'zeros') is None
    assert Windows.of(nn.Conv2d(3, 3, 1)) is None
    with pytest.raises(ValueError, match="borders must be flush or zeros, got 'reflect'"):
        Windows.of(net, 'reflect')


def test_tiles_at_once_need_no_more_memory_than_those_of_the_paper():
    assert tiles_at_once(TILE) == TILE_BATCH == 16
    assert (tiles_at_once(32), tiles_at_once(65), tiles_at_once(1000)) == (64, 15, 1)
    assert tiles_at_once(1) == tiles_at_once(16) == 256, 'the network takes none that are smaller'


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(1 / np.square(a - b).mean()))


def outer(image: np.ndarray) -> np.ndarray:
    """The outer four pixels at the bottom and right."""
    return np.concatenate([image[-4:].reshape(-1, 3), image[:-4, -4:].reshape(-1, 3)])


@pytest.mark.slow
@pytest.mark.parametrize(('side', 'gain'), [(60, 4), (57, 4), (17, 4), (12, 3)])
def test_the_packaged_weights_at_the_borders(side: int, gain: float):
    """At the bottom and right of LR crops, against zeros beyond them, in dB; the inner part is not the worse for it."""
    net = load_asid('packaged:x2').eval()
    hr = torch.from_numpy(skimage.data.astronaut()[:480, :480] / np.float32(255)).permute(2, 0, 1)[None]
    lr = F.interpolate(hr, scale_factor=0.5, mode='bicubic', antialias=True).clamp(0, 1)
    found = []
    for top, left in ((50, 100), (150, 60), (10, 20), (100, 150), (120, 10), (30, 160), (160, 160), (90, 70)):
        lq, gt = (x[:, :, k * top : k * (top + side), k * left : k * (left + side)] for k, x in ((1, lr), (2, hr)))
        with torch.no_grad():
            srs = [tiled(net, lq, 2, feather=True, windows=Windows.of(net, borders)) for borders in ('zeros', 'flush')]
        zeros, flush, want = (x[0].permute(1, 2, 0).numpy() for x in (*srs, gt))
        inner = slice(0, max(2 * side - 16, 8))
        found.append(
            (
                psnr(outer(flush), outer(want)) - psnr(outer(zeros), outer(want)),
                psnr(flush[inner, inner], want[inner, inner]) - psnr(zeros[inner, inner], want[inner, inner]),
            )
        )
    at_the_border, inside = np.mean(found, axis=0)
    assert at_the_border > gain and inside > -0.05

"""Tiles and self-ensemble against their definitions."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from asid_plugin.inference.tiling import self_ensemble, tile_starts, tiled


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

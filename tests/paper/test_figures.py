"""Figures 1, 5 and 6: what is drawn is what was measured or computed, and it can be read."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import BboxBase

import reference
from asid_plugin.archs import ASID
from asid_plugin.checkpoints import save_state_dict
from asid_plugin.commands import paper
from asid_plugin.commands.main import module_parser
from asid_plugin.evaluate.benchmarks import Sample
from asid_plugin.evaluate.results import Evaluation, ImageResult, Method, SetResult
from asid_plugin.evaluate.table import write_csv
from asid_plugin.paper import attention_maps, crops, scatter
from asid_plugin.paper.attention_maps import Layer, busiest_window, collect_matrices, rows_of_pixel
from asid_plugin.paper.scatter import Point, lowest_shown, measured_points, reported_points
from asid_plugin.plots.style import FigureError, save
from asid_plugin.published.reported import BENCHMARKS, Figures
from helpers import TINY, write_pairs

# isort: split
from basicsr.metrics import calculate_psnr, calculate_ssim
from basicsr.utils.matlab_functions import imresize


def produce(*arguments: object) -> None:
    """`asid paper ARGUMENTS`, with errors raised."""
    parser = module_parser('paper', paper)
    paper.run(parser.parse_args([*map(str, arguments)]))


def overlap(a: BboxBase, b: BboxBase) -> bool:
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


# Figure 1


MEASURED = [
    Point('ASID, tiles', 297_516, 32.6),
    Point('ASID, whole', 297_516, 32.62),
    Point('SwinIR, whole', 878_000, 32.76),
    Point('mine', 300_000, 24.5),
    Point('a large network with a long name', 11_900_000, 33.4),
]


def is_readable(points: list[Point]) -> bool:
    """Whether no name hides another, or a marker, or is cut off."""
    ax = scatter.draw(points, 'Set ×2').axes[0]
    assert [text.get_text().partition(' ↓')[0] for text in ax.texts] == [point.name for point in points]
    # of the text alone: an annotation's own extent takes in the line to its point
    boxes = [Text.get_window_extent(text) for text in ax.texts]
    markers = ax.transData.transform([text.xy for text in ax.texts])
    return (
        not any(overlap(*pair) for pair in combinations(boxes, 2))
        and not any(box.contains(*marker) for box in boxes for marker in markers)
        and all(ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 and box.y0 >= ax.bbox.y0 for box in boxes)
    )


@pytest.mark.slow
@pytest.mark.parametrize('scale', [2, 3, 4])
@pytest.mark.parametrize('benchmark', BENCHMARKS)
def test_every_point_has_a_name_that_can_be_read(scale: int, benchmark: str):
    assert is_readable(reported_points(scale, benchmark))


def test_so_have_measured_points():
    assert is_readable(reported_points(2, 'Urban100') + MEASURED)


def test_points_are_where_the_paper_has_them():
    points = {point.name: point for point in reported_points(2, 'Urban100')}
    assert len(points) == 12
    assert points['ASID'] == Point('ASID', 298_000, 32.88, 'Transformer, reported')
    assert points['IMDN'] == Point('IMDN', 694_000, 32.17, 'CNN, reported')
    lines = scatter.draw(list(points.values()), 'Urban100 ×2').axes[0].lines
    drawn = {(line.get_xdata()[0], line.get_ydata()[0]): line for line in lines if len(line.get_xdata())}
    assert set(drawn) == {(point.params, point.psnr) for point in points.values()}
    asid, imdn = (drawn[points[name].params, points[name].psnr] for name in ('ASID', 'IMDN'))
    assert asid.get_marker() != imdn.get_marker() and asid.get_mfc() != imdn.get_mfc()
    assert asid.get_markersize() > imdn.get_markersize()


def test_a_point_far_below_the_others_does_not_press_them_together():
    assert lowest_shown([28.57, 28.61, 28.8, 28.89]) == 28.57
    assert lowest_shown([28.5, 28.51, 28.52, 29.0, 29.01, 29.02]) == 28.5
    assert lowest_shown([26.62, 28.57, 28.61, 28.8, 28.89]) == 28.57
    assert lowest_shown([20, 26, 28.57, 28.61, 28.8, 28.89]) == 28.57
    ax = scatter.draw(reported_points(4, 'Set14'), 'Set14 ×4').axes[0]
    assert ax.get_ylim()[0] > 28.5
    (label,) = (text for text in ax.texts if text.get_text() == 'MAFFSRN ↓ 26.62')
    assert ax.get_ylim()[0] < label.xy[1] < 28.57


def test_measured_points_are_the_means_of_an_evaluation(tmp_path: Path):
    methods = [Method('bicubic'), Method('ASID', 'tiles', 297_516), Method('ASID', 'whole', 297_516)]
    images = [
        ImageResult(name, 8, 8, figures={m.label: Figures(30 + i + j, 0.9) for j, m in enumerate(methods)})
        for i, name in enumerate(('img_001', 'img_002'))
    ]
    write_csv(Evaluation(2, methods, [SetResult('Set5', tmp_path, '', images)]), tmp_path / 'evaluation.csv')
    points = measured_points(tmp_path / 'evaluation.csv', 2, 'Set5')
    assert points == [Point('ASID, tiles', 297_516, 31.5), Point('ASID, whole', 297_516, 32.5)]
    with pytest.raises(FigureError, match='no network on Urban100 x2; found Set5 x2$'):
        measured_points(tmp_path / 'evaluation.csv', 2, 'Urban100')
    svg = tmp_path / 'new' / 'figure.svg'
    produce(
        'figure1', '--set', 'Set5', '--measured', tmp_path / 'evaluation.csv', '--point', '$mine$', 3e5, 37.9, '-o', svg
    )
    found = svg.read_text()
    assert all(f'>{name}<' in found for name in ('ASID, tiles ↓ 31.50', '$mine$', 'SwinIR', 'measured here'))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['-o', 'figure.gif'], 'figure.gif: figures are written as .png, .pdf, .svg'),
        (['--point', 'mine', '298K', '32'], '--point mine 298K 32: PARAMS and PSNR must be numbers'),
        (['--point', 'mine', '0', '32'], 'PARAMS must be above 0'),
        (['--point', 'mine', '1', 'inf'], 'finite'),
    ],
)
def test_figure1_refuses(arguments: list[str], message: str):
    with pytest.raises(FigureError, match=message):
        produce('figure1', *arguments)


@pytest.mark.parametrize(('suffix', 'magic'), [('.png', b'\x89PNG'), ('.pdf', b'%PDF'), ('.SVG', b'<?xml')])
def test_figures_are_written_whole_and_alike(tmp_path: Path, suffix: str, magic: bytes):
    paths = [tmp_path / name / f'figure{suffix}' for name in 'ab']
    for path in paths:
        save(Figure((1, 1)), path)
    assert paths[0].read_bytes().startswith(magic)
    assert [path.name for path in paths[0].parent.iterdir()] == [f'figure{suffix}']
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with pytest.raises(FigureError, match=f'{paths[0]}/.*: Not a directory'):
        save(Figure((1, 1)), paths[0] / f'figure{suffix}')


# Figure 5


def sample(height: int = 60, width: int = 72, scale: int = 2) -> Sample:
    hr = np.ascontiguousarray(skimage.data.astronaut()[40 : 40 + height, 180 : 180 + width])
    return Sample('a photograph', '', hr, hr[::scale, ::scale])


def test_the_box_is_where_the_image_differs_most():
    hr = sample().hr
    sr = hr.copy()
    sr[20:30, 41:51] ^= 255
    sr[:2] ^= 255
    left, top, width, height = crops.worst_box(hr, sr, border=2)
    assert (width, height) == (24, 24)
    assert left <= 41 and left + 24 >= 51 and top <= 20 and top + 24 >= 30
    assert crops.worst_box(hr[:20], sr[:20], border=2)[2:] == (20, 20)
    large = np.zeros((200, 300, 3), np.uint8)
    assert crops.worst_box(large, large, border=4)[2:] == (50, 50)


@pytest.mark.parametrize(('num', 'columns', 'box'), [(1, None, (3, 5, 20, 20)), (8, None, (0, 0, 9, 30)), (4, 5, None)])
def test_crops_are_equal_parts_of_every_image(num: int, columns: int | None, box: crops.Box | None):
    image = sample()
    box = box or (40, 50, 32, 10)
    results = [
        crops.Result(f'network_{i}_of_a_rather_long_name', image.hr // (i + 2), Figures(30 + i, 0.9 + i / 100))
        for i in range(num)
    ]
    figure = crops.draw(image, results, box, 2, columns)
    whole, *details = figure.axes
    x, y, width, height = box
    assert (whole.images[0].get_array() == image.hr).all()
    assert {frame.get_bbox().bounds for frame in whole.patches} == {(x - 0.5, y - 0.5, width, height)}
    shown = [ax.images[0].get_array() for ax in details]
    expected = [pixels[y : y + height, x : x + width] for pixels in (image.hr, *(r.pixels for r in results))]
    assert len(shown) == num + 1 and all((a == b).all() for a, b in zip(shown, expected, strict=True))
    sizes = np.array([ax.bbox.size for ax in details])
    np.testing.assert_allclose(sizes, sizes[:1].repeat(num + 1, 0))
    np.testing.assert_allclose(sizes[0, 0] / sizes[0, 1], width / height)
    assert len({round(ax.bbox.y0) for ax in details}) == (1 if columns else 2)

    captions = [text.get_text() for text in figure.texts]
    assert captions[:3] == ['a photograph (×2)', 'HR', 'PSNR / SSIM'] and '30.00 / 0.9000' in captions
    boxes = [text.get_window_extent() for text in figure.texts] + [ax.bbox for ax in figure.axes]
    assert not [pair for pair in combinations(boxes, 2) if overlap(*pair)]
    assert all(b.x0 >= 0 and b.y0 >= 0 and b.x1 <= figure.bbox.x1 and b.y1 <= figure.bbox.y1 for b in boxes)


def test_figure5_measures_as_basicsr(tmp_path: Path, capsys: pytest.CaptureFixture):
    write_pairs(tmp_path, 1)
    torch.manual_seed(0)
    net = ASID(**{key: value for key, value in TINY.items() if key != 'type'}).eval()
    save_state_dict(net.state_dict(), tmp_path / 'tiny.pth')
    hr, lq = (cv2.imread(str(tmp_path / name / '0.png')) for name in ('GT', 'LR'))
    with torch.no_grad():
        sr = net(torch.from_numpy(lq[..., ::-1] / 255.0).permute(2, 0, 1)[None].float())
    sr = (sr[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()[..., ::-1]
    base = (imresize(lq / 255.0, 2) * 255).clip(0, 255).round().astype(np.uint8)
    (tmp_path / 'theirs').mkdir()
    cv2.imwrite(str(tmp_path / 'theirs' / '0_net.png'), hr // 2)

    files = '--gt', tmp_path / 'GT' / '0.png', '--lq', tmp_path / 'LR' / '0.png', '--scale', 2
    networks = '--network', f'mine={tmp_path / "tiny.pth"}', tmp_path / 'theirs'
    produce('figure5', *files, *networks, '-o', tmp_path / 'figure.svg')
    found = (tmp_path / 'figure.svg').read_text(encoding='utf-8')
    opt = {'crop_border': 2, 'test_y_channel': True}
    for name, image in {'bicubic': base, 'mine': sr, 'theirs': hr // 2}.items():
        figures = calculate_psnr(image, hr, **opt), calculate_ssim(image, hr, **opt)
        assert f'>{name}<' in found and '>{:.2f} / {:.4f}<'.format(*figures) in found
    assert '0, the detail is --box' in capsys.readouterr().out


@pytest.mark.slow
def test_figure5_needs_no_arguments(tmp_path: Path, capsys: pytest.CaptureFixture):
    produce('figure5', '-o', tmp_path / 'figure.png')
    assert capsys.readouterr().out.startswith(f'wrote {tmp_path / "figure.png"}\nchelsea')
    assert cv2.imread(str(tmp_path / 'figure.png')).std() > 10


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--box', 400, 0, 80, 20], '--box 400 0 80 20: not inside the HR image of 448x300 pixels'),
        (['--box', 0, 0, 0, 20], 'not inside'),
        (['--columns', 0], '--columns 0: should be 1 or more'),
        (['--scale', 0], '--scale 0: should be 1 or more'),
        (['--lq', 'a.png'], '--lq a.png: needs its HR image'),
        (['--gt', 'nowhere.png'], 'nowhere.png: No such file'),
        (['--network', 'nowhere.pth'], 'nowhere.pth: no such file'),
    ],
)
def test_figure5_refuses(arguments: list, message: str):
    with pytest.raises(ValueError, match=message):
        produce('figure5', *arguments)


# Figure 6


@pytest.fixture
def network() -> Callable[..., ASID]:
    def make(**arguments: object) -> ASID:
        torch.manual_seed(0)
        return ASID(num_feat=16, **arguments).eval()

    return make


def photograph(height: int = 21, width: int = 31) -> np.ndarray:
    return skimage.data.astronaut()[60 : 60 + height, 190 : 190 + width].astype(np.float32) / 255


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None]


@pytest.mark.parametrize(('sharing', 'num'), [('none', 18), ('inter', 6), ('intra', 6)])
def test_all_computed_matrices_are_collected_and_are_softmax_rows(network: Callable, sharing: str, num: int):
    matrices = collect_matrices(network(sharing=sharing), as_tensor(photograph()))
    assert len(matrices) == num
    blocks = {'none': {1, 2, 3}, 'inter': {1}, 'intra': {1, 2, 3}}[sharing]
    assert {layer.block for layer in matrices} == blocks
    assert {layer.depth for layer in matrices} == ({1} if sharing == 'intra' else {1, 2, 3})
    for matrix in matrices.values():
        assert matrix.shape == (3 * 4, 64, 64) and matrix.min() >= 0
        torch.testing.assert_close(matrix.sum(-1), torch.ones(12, 64))


def reference_matrices(net: ASID, x: torch.Tensor) -> dict[Layer, list[torch.Tensor]]:
    """The matrices of the plain network of tests/reference.py in its first block: by group, (1, 64, 64)."""
    w = reference.Weights(net.state_dict())
    shallow = reference.conv(net.pad(2 * x - 1), w.at('conv_first'), padding=1)
    _, used = reference.idb(shallow, w.at('body.0'), 8, 4, None, 'none', reference.PIXEL_BY_PIXEL)
    return {
        Layer(1, depth, level): groups
        for depth, levels in enumerate(used, start=1)
        for level, groups in zip(('meso', 'global'), levels, strict=True)
    }


def test_rows_are_those_of_the_plain_network(network: Callable):
    """The pixel's row, and where its tokens lie, by index lists that are spelled out pixel by pixel."""
    net, x, pixel = network(sharing='none').double(), as_tensor(photograph()).double(), (12, 28)
    rows = rows_of_pixel(net, x, *pixel)
    assert len(rows) == 18
    for layer, matrices in reference_matrices(net, x).items():
        places = reference.groups_of_tokens(net.pad(x), layer.level, 8, channel=False)
        ((group, token),) = [
            (g, t)
            for g, (ys, xs) in enumerate(places)
            for t, place in enumerate(zip(ys.tolist(), xs.tolist(), strict=True))
            if place == pixel
        ]
        expected = matrices[group][0, token]
        np.testing.assert_allclose(rows[layer].weights.ravel(), expected, atol=1e-6)
        ys, xs = places[group]
        assert np.repeat(rows[layer].y, 8).tolist() == ys.tolist()
        assert np.tile(rows[layer].x, 8).tolist() == xs.tolist()
    meso, glob = rows[Layer(1, 2, 'meso')], rows[Layer(1, 2, 'global')]
    assert meso.y.tolist() == list(range(8, 16)) and meso.x.tolist() == list(range(24, 32))
    assert glob.y.tolist() == list(range(0, 24, 3)) and glob.x.tolist() == list(range(0, 32, 4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('arguments', 'titles'),
    [
        ({'sharing': 'none'}, [f'IDB {b}, SAM {d} (meso)' for b in (1, 2, 3) for d in (1, 2, 3)]),
        ({'sharing': 'inter'}, [f'IDB 1, SAM {d} ({level})' for level in ('meso', 'global') for d in (1, 2, 3)]),
        ({'sharing': 'intra'}, [f'IDB {b}, SAM 1 ({level})' for level in ('meso', 'global') for b in (1, 2, 3)]),
        (
            {'sharing': 'none', 'distillation': False, 'channel_split': False},
            [f'IDB {b}, SAM 1 (meso)' for b in (1, 2, 3)],
        ),
    ],
    ids=['none', 'inter', 'intra', 'baseline'],
)
def test_every_panel_shows_a_row_at_its_tokens(network: Callable, arguments: dict, titles: list[str]):
    net, image, window = network(**arguments), photograph(21, 32), (1, 3)
    figure = attention_maps.draw(net, image, window, 'a title')
    panels = {ax.get_title(): ax for ax in figure.axes if any(isinstance(c, PatchCollection) for c in ax.collections)}
    assert list(panels) == titles
    rows = {str(layer): row for layer, row in rows_of_pixel(net, as_tensor(image), 12, 28).items()}
    for title, ax in panels.items():
        (squares,) = ax.collections
        weights, row = squares.get_array(), rows[title]
        assert weights.min() >= 0 and weights.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_array_equal(weights, row.weights.ravel())
        assert squares.norm.vmin == 0 and squares.norm is next(iter(panels.values())).collections[0].norm
        centres = [(path.vertices[:4].mean(axis=0)) for path in squares.get_paths()]
        np.testing.assert_allclose(centres, [(x, y) for y in row.y for x in row.x], atol=1e-9)
        np.testing.assert_allclose(ax.images[0].get_array(), image.mean(axis=2))
        region = (23.5, 31.5, 15.5, 7.5) if 'meso' in title else (-0.5, 31.5, 23.5, -0.5)
        assert (*ax.get_xlim(), *ax.get_ylim()) == region
        for frame in ax.patches:
            np.testing.assert_allclose(frame.get_bbox().get_points().mean(axis=0), (28, 12))

    detail = next(ax for ax in figure.axes if ax.get_title().startswith('the window'))
    assert (*detail.get_xlim(), *detail.get_ylim()) == (23.5, 31.5, 15.5, 7.5)
    whole = next(ax for ax in figure.axes if ax.get_title() == 'window (1, 3)')
    assert {frame.get_bbox().bounds for frame in whole.patches} == {(23.5, 7.5, 8, 8)}
    assert {'a title', 'attention weight (the 64 of a panel sum to 1)'} <= {
        text.get_text() for text in figure.findobj(Text)
    }


def test_the_default_window_has_the_most_contrast():
    grey = np.full((37, 52), 0.5, np.float32)
    grey[36, :] = 0  # in no whole window
    grey[17, 42] = 0.6
    assert busiest_window(grey, 8) == (2, 5)


@pytest.mark.slow
def test_figure6_of_a_checkpoint(network: Callable, tmp_path: Path):
    save_state_dict(network(sharing='intra').state_dict(), tmp_path / 'net.pth')
    cv2.imwrite(str(tmp_path / 'image.png'), (photograph(24, 32)[..., ::-1] * 255).astype(np.uint8))
    files = '--image', tmp_path / 'image.png', '--weights', tmp_path / 'net.pth', '-o', tmp_path / 'figure.svg'
    produce('figure6', *files, '--window', 0, 3)
    found = (tmp_path / 'figure.svg').read_text(encoding='utf-8')
    assert all(
        f'>{text}<' in found
        for text in ('Spatial attention, net.pth (sharing intra)', 'IDB 3, SAM 1 (global)', 'window (0, 3)')
    )
    with pytest.raises(FigureError, match='--window 3 0: the image has 3 x 4 whole windows of 8x8 pixels'):
        produce('figure6', *files, '--window', 3, 0)
    with pytest.raises(FigureError, match='omit --sharing'):
        produce('figure6', *files, '--sharing', 'none')


def test_figure6_refuses(network: Callable, tmp_path: Path):
    save_state_dict(network(num_in_ch=1, num_out_ch=1).state_dict(), tmp_path / 'grey.pth')
    with pytest.raises(FigureError, match='the network takes 1 channels'):
        produce('figure6', '--weights', tmp_path / 'grey.pth')
    with pytest.raises(FigureError, match='--seed -1: should be from 0'):
        produce('figure6', '--seed', -1)
    broken = network(num_block=1).requires_grad_(False)
    broken.conv_first.bias[0] = float('nan')
    with pytest.raises(FigureError, match='not finite'):
        attention_maps.draw(broken, photograph(), (0, 0), '')
    cv2.imwrite(str(tmp_path / 'thin.png'), np.zeros((7, 30), np.uint8))
    with pytest.raises(FigureError, match='thin.png: 30x7 pixels, less than a window of 8x8'):
        produce('figure6', '--image', tmp_path / 'thin.png')

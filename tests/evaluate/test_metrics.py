"""Metrics besides PSNR and SSIM: pyiqa's against other implementations, and where they come out."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from basicsr.metrics import calculate_niqe, calculate_psnr, calculate_ssim
from numpy.lib.stride_tricks import sliding_window_view
from scipy.io import savemat

from asid_plugin.evaluate.benchmarks import Sample, find_sets
from asid_plugin.evaluate.methods import Candidate, Running, load_candidates
from asid_plugin.evaluate.metrics import Scorer, load_scorers
from asid_plugin.evaluate.output import write
from asid_plugin.evaluate.results import Evaluation, EvaluationError, Method, Metric
from asid_plugin.evaluate.run import evaluate
from asid_plugin.evaluate.table import markdown, notes
from asid_plugin.paper.measured import read_means
from helpers import command, write_pairs

Image = np.ndarray

MAE = Scorer(Metric('mae', True, True), lambda sr, hr: (sr - hr).abs().mean(), 'cpu', 'plain 1.0')
GREEN = Scorer(Metric('green', False, False), lambda sr: sr[:, 1].mean(), 'cpu', 'plain 1.0')
"""Metrics of either kind, by one line of torch."""


@pytest.fixture
def set5(tmp_path: Path) -> Path:
    """Two images at x2, 48x48 and 48x56."""
    folder = tmp_path / 'Set5'
    write_pairs(folder, 2)
    (folder / 'GT').rename(folder / 'GTmod2')
    (folder / 'LR').rename(folder / 'LRbicx2')
    return folder


def run(folder: Path, scorers: Sequence[Scorer]) -> Evaluation:
    candidates = load_candidates(['twin=bicubic'], Running(2))
    return evaluate(find_sets([folder], 2), candidates, 2, progress=False, scorers=scorers)


def rgb(path: Path) -> Image:
    return cv2.imread(str(path))[..., ::-1]


# where figures come out


def test_scores_are_of_rgb_without_the_border(set5: Path):
    result = run(set5, [MAE, GREEN])
    for image in result.sets[0].images:
        hr = rgb(set5 / 'GTmod2' / f'{image.name}.png')[2:-2, 2:-2] / 255
        assert image.scores['bicubic'].keys() == {'mae', 'green'}
        assert image.scores['bicubic']['green'] == pytest.approx(hr[..., 1].mean(), abs=2e-3)
        assert 0.001 < image.scores['bicubic']['mae'] < 0.1
    means = result.sets[0].mean_scores('twin')
    assert means['mae'] == pytest.approx(np.mean([image.scores['twin']['mae'] for image in result.sets[0].images]))


def test_the_table_has_columns_with_arrows_and_says_of_what(set5: Path):
    result = run(set5, [MAE, GREEN])
    head, _, bicubic, *_ = markdown(result).splitlines()
    assert [cell.strip() for cell in head.split('|')[1:-1]] == [
        *('method', 'parameters', 'Set5', 'Set5, mae ↓', 'Set5, green ↑')
    ]
    means = result.sets[0].mean_scores('bicubic')
    assert [cell.strip() for cell in bicubic.split('|')[4:-1]] == [f'{means["mae"]:.4f}', f'{means["green"]:.4f}']
    assert notes(result)[1] == (
        'By plain 1.0 on cpu, of RGB in 8 bits without 2 pixels on each side (↓ lower is better, ↑ higher), '
        'compared with HR: mae ↓; of the image alone, without a reference: green ↑.'
    )


def test_files_have_them_and_are_read_as_before(set5: Path, tmp_path: Path):
    result = run(set5, [MAE, GREEN])
    table, page = write(result, markdown(result), tmp_path / 'out', html=False)[0], tmp_path / 'out' / 'report.html'
    assert 'mae' in (tmp_path / 'out' / 'evaluation.csv').read_text() and table.name == 'evaluation.csv'
    with table.open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-4:] == ['psnr', 'ssim', 'mae', 'green'] and len(rows) == 6
    for row in (row for row in rows if not row['image']):
        assert float(row['mae']) == pytest.approx(result.sets[0].mean_scores(row['method'])['mae'], abs=1e-6)
    figures = result.sets[0].mean('bicubic')
    means = read_means(table)[0].figures['Set5']
    assert (means.psnr, means.ssim) == (pytest.approx(figures.psnr, abs=1e-4), pytest.approx(figures.ssim, abs=1e-6))
    write(result, markdown(result), tmp_path / 'out', html=True)
    html = page.read_text(encoding='utf-8')
    mean = result.sets[0].mean_scores('bicubic')['mae']
    assert html.count('<th scope="col">mae ↓</th>') == 1 and f'<td>{mean:.4f}</td>' in html
    image = result.sets[0].images[0]
    assert f'{image.figures["bicubic"]}<br><small>mae ↓ {image.scores["bicubic"]["mae"]:.4f}</small>' in html


def test_without_further_metrics_nothing_changes(set5: Path):
    result = run(set5, [])
    assert markdown(result).splitlines()[0].count('|') == 4 and len(notes(result)) == 2


class Never(Candidate):
    method = Method('never')

    def __call__(self, sample: Sample) -> Image:
        raise AssertionError(f'{sample.name} was upscaled')


def test_a_metric_that_fails_is_known_before_anything_is_upscaled(set5: Path):
    def fails(*_images: torch.Tensor) -> torch.Tensor:
        raise ValueError('too small\nfor me')

    scorer = Scorer(Metric('big', False, False), fails, 'cpu', '')
    with pytest.raises(EvaluationError) as error:
        evaluate(find_sets([set5], 2), [Never()], 2, progress=False, scorers=[scorer])
    assert str(error.value) == 'HR on Set5/0: --metrics big: ValueError at 44x44 pixels: too small for me'


# names


def test_the_papers_metrics_need_no_library(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, 'pyiqa', None)
    assert load_scorers(['psnr', 'SSIM'], 'cpu') == []
    with pytest.raises(EvaluationError) as error:
        load_scorers(['psnr', 'lpips'], 'cpu')
    extra = "pip install 'asid-plugin[metrics]' (for non-commercial use only)"
    assert str(error.value) == f'--metrics lpips: needs pyiqa: {extra}'


@pytest.fixture
def pyiqa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No network for pyiqa; the folder where it looks for weights."""
    pytest.importorskip('pyiqa', reason='needs pyiqa, which no extra but metrics brings')
    from pyiqa.utils import download_util

    for name in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'):
        monkeypatch.setenv(name, 'http://127.0.0.1:9')
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    weights = tmp_path / 'weights'
    weights.mkdir()
    monkeypatch.setattr(download_util, 'DEFAULT_CACHE_DIR', str(weights))
    return weights


@pytest.mark.usefixtures('pyiqa')
@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('lpip', 'unknown; did you mean lpips'),
        ('gsmd', 'unknown; did you mean gmsd'),
        ('\x1b[31m', 'unknown ('),
        ('fid', 'it compares sets of images; only metrics of an image can be measured here'),
        ('Inception_Score', 'it judges sets of images'),
        ('clipscore', 'it compares an image with a text'),
    ],
)
def test_names_that_mean_no_metric_are_refused(name: str, message: str):
    with pytest.raises(EvaluationError) as error:
        load_scorers(['gmsd', name], 'cpu')
    assert message in str(error.value) and str(error.value).isprintable()


@pytest.mark.usefixtures('pyiqa')
def test_names_are_taken_in_any_case_and_once():
    scorers = load_scorers(['PSNR', 'GMSD', 'gmsd', 'piqe'], 'cpu')
    assert [scorer.metric for scorer in scorers] == [Metric('gmsd', True, True), Metric('piqe', True, False)]


@pytest.mark.usefixtures('pyiqa')
@pytest.mark.parametrize('name', ['lpips', pytest.param('dists', marks=pytest.mark.slow), 'niqe', 'brisque'])
def test_without_a_network_weights_are_a_line(name: str):
    with pytest.raises(EvaluationError) as error:
        load_scorers([name], 'cpu')
    message = str(error.value)
    assert message.startswith(
        f'--metrics {name}: pyiqa cannot prepare it; its weights are downloaded at first use, to '
    )
    assert message.isprintable()


@pytest.mark.slow
@pytest.mark.usefixtures('pyiqa')
def test_the_command_measures_and_names_a_size_that_is_too_small(
    set5: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    evaluate_command = command('evaluate', str(set5), '--scale', '2', '-o', str(tmp_path / 'out'))
    assert evaluate_command(['--metrics', 'psnr', 'gmsd', 'psnry']) == 0
    printed = capsys.readouterr()
    assert '| Set5, gmsd ↓ | Set5, psnry ↑ |' in printed.out.splitlines()[0] and 'By pyiqa 0.' in printed.out
    assert evaluate_command(['--metrics', 'gmsd', 'ms_ssim']) == 2
    assert capsys.readouterr().err.startswith('error: HR on Set5/0: --metrics ms_ssim: RuntimeError at 44x44 pixels: ')


# pyiqa's figures against others


@pytest.fixture(scope='module')
def images() -> tuple[Image, Image]:
    """A photograph with noise, and without."""
    hr = skimage.data.astronaut()[:200, 100:304]
    noise = np.random.default_rng(0).normal(0, 8, hr.shape)
    return (hr + noise).clip(0, 255).round().astype(np.uint8), hr


def score(name: str, images: tuple[Image, Image]) -> float:
    [scorer] = load_scorers([name], 'cpu')
    return scorer(*images, 4)


def inside(images: tuple[Image, Image]) -> list[Image]:
    return [image[4:-4, 4:-4] for image in images]


def luma(image: Image) -> Image:
    """Y of YIQ, 8 bits."""
    return (image.astype(np.float64) @ [0.299, 0.587, 0.114]).round()


@pytest.mark.usefixtures('pyiqa')
def test_psnr_and_ssim_are_basicsrs(images: tuple[Image, Image]):
    sr, hr = inside(images)
    ours = calculate_psnr(sr[..., ::-1], hr[..., ::-1], 0, test_y_channel=True)
    assert score('psnry', images) == pytest.approx(ours - 20 * np.log10(255 / 219), abs=1e-3)
    assert score('ssimc', images) == pytest.approx(calculate_ssim(sr, hr, 0), abs=1e-4)


@pytest.mark.usefixtures('pyiqa')
def test_gmsd_is_the_papers(images: tuple[Image, Image]):
    """Xue et al. 2014: the deviation of the similarity of Prewitt gradients, of images halved by averaging, T = 170."""
    gradients = []
    for image in inside(images):
        y = luma(image)
        half = (y[::2, ::2] + y[1::2, ::2] + y[::2, 1::2] + y[1::2, 1::2]) / 4
        windows = sliding_window_view(np.pad(half, 1), (3, 3))
        prewitt = np.array([[1, 0, -1]] * 3) / 3
        gradients.append(np.hypot(*((windows * kernel).sum((2, 3)) for kernel in (prewitt, prewitt.T))))
    sr, hr = gradients
    similarity = (2 * sr * hr + 170) / (sr**2 + hr**2 + 170)
    assert score('gmsd', images) == pytest.approx(similarity.std(ddof=1), rel=1e-4)


def test_niqe_is_basicsrs(images: tuple[Image, Image], pyiqa: Path):
    import basicsr.metrics.niqe

    parameters = np.load(Path(basicsr.metrics.niqe.__file__).with_name('niqe_pris_params.npz'))
    shape = {'mu_prisparam': parameters['mu_pris_param'], 'cov_prisparam': parameters['cov_pris_param']}
    savemat(pyiqa / 'niqe_modelparameters.mat', shape)
    for image in images:
        theirs = calculate_niqe(image[4:-4, 4:-4, ::-1], 0, convert_to='gray')
        assert score('niqe', (image, image)) == pytest.approx(theirs, rel=0.02)


@pytest.mark.usefixtures('pyiqa')
@pytest.mark.parametrize(('name', 'better'), [('ms_ssim', 1), ('fsim', 1), ('vsi', 1), ('gmsd', -1), ('piqe', -1)])
def test_directions_are_right(images: tuple[Image, Image], name: str, better: int):
    sr, hr = images
    blurred = cv2.GaussianBlur(sr, (0, 0), 3)
    [scorer] = load_scorers([name], 'cpu')
    assert scorer.metric.lower_is_better is (better < 0)
    assert better * (scorer(hr, hr, 4) - scorer(blurred, hr, 4)) > 0

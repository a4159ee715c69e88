"""Metrics besides PSNR and SSIM: pyiqa's against other implementations, and where they come out."""

import csv
import sys
from collections.abc import Iterator, Sequence
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
        'Measured by plain 1.0 on cpu on 8-bit RGB with 2 pixels cropped on each side (↓ lower is better, ↑ higher), '
        'compared with HR: mae ↓; without a reference: green ↑.'
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
    extra = "(for non-commercial use only): pip install '.[metrics]' in a checkout of asid_plugin"
    assert str(error.value) == f'--metrics lpips: needs pyiqa {extra}'


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
        ('fid', 'it compares sets of images; only metrics of single images are supported'),
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
    assert message.startswith(f'--metrics {name}: pyiqa cannot prepare it; the download of its weights to ')
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


ALEXNET = ((0, 3, 64, 11), (3, 64, 192, 5), (6, 192, 384, 3), (8, 384, 256, 3), (10, 256, 256, 3))
VGG16 = (
    *((0, 3, 64, 3), (2, 64, 64, 3), (5, 64, 128, 3), (7, 128, 128, 3), (10, 128, 256, 3), (12, 256, 256, 3)),
    *((14, 256, 256, 3), (17, 256, 512, 3), (19, 512, 512, 3), (21, 512, 512, 3), (24, 512, 512, 3)),
    *((26, 512, 512, 3), (28, 512, 512, 3)),
)
"""Their convolutions: place in torchvision's network, channels in and out, side of the kernel."""


def save_random(file: str, convolutions: Sequence[tuple[int, ...]], linear: dict[str, tuple[int, int]]) -> dict:
    """Save weights where torchvision looks for those of ImageNet; of the linear layers, which nothing uses, zeros."""
    torch.manual_seed(0)
    weights = {}
    for place, channels, filters, side in convolutions:
        deviation = (2 / (channels * side**2)) ** 0.5
        weights[f'features.{place}.weight'] = torch.randn(filters, channels, side, side) * deviation
        weights[f'features.{place}.bias'] = torch.randn(filters) * 0.1
    zero = torch.zeros(())  # a view of any shape takes no room in the file
    for name, (columns, rows) in linear.items():
        weights |= {f'{name}.weight': zero.expand(rows, columns), f'{name}.bias': zero.expand(rows)}
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    folder.mkdir(parents=True)
    torch.save(weights, folder / file)
    return {name: value.double() for name, value in weights.items()}


def batch(image: Image) -> torch.Tensor:
    return torch.from_numpy(image[4:-4, 4:-4] / 255).permute(2, 0, 1)[None]


@pytest.mark.slow
def test_lpips_is_the_papers(images: tuple[Image, Image], pyiqa: Path):
    """Zhang et al. 2018: AlexNet's features, each pixel of length 1, their squared differences weighted by channel."""
    alexnet = save_random(
        'alexnet-owt-7be5be79.pth',
        ALEXNET,
        {'classifier.1': (9216, 4096), 'classifier.4': (4096, 4096), 'classifier.6': (4096, 1000)},
    )
    lines = {f'lin{i}.model.1.weight': torch.rand(1, shape[2], 1, 1) for i, shape in enumerate(ALEXNET)}
    torch.save(lines, pyiqa / 'LPIPS_v0.1_alex-df73285e.pth')
    shift, scale = (torch.tensor(values).view(3, 1, 1) for values in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))

    def features(image: Image) -> Iterator[torch.Tensor]:
        x = (2 * batch(image) - 1 - shift) / scale
        for i, (place, _, _, side) in enumerate(ALEXNET):
            x = torch.nn.functional.max_pool2d(x, 3, 2) if i in (1, 2) else x
            stride = 4 if i == 0 else 1
            weight, bias = (alexnet[f'features.{place}.{kind}'] for kind in ('weight', 'bias'))
            x = torch.nn.functional.conv2d(x, weight, bias, stride, 2 if i == 0 else side // 2).relu()
            yield x / (x.norm(dim=1, keepdim=True) + 1e-10)

    expected = sum(
        ((sr - hr) ** 2 * weight).sum(1).mean()
        for sr, hr, weight in zip(*map(features, images), lines.values(), strict=True)
    )
    assert score('lpips', images) == pytest.approx(float(expected), rel=1e-4) and expected > 1e-3
    assert score('lpips', (images[1], images[1])) == 0


@pytest.mark.slow
def test_dists_is_the_papers(images: tuple[Image, Image], pyiqa: Path):
    """Ding et al. 2020: means and covariances of VGG's features, pooled by the root of blurred squares, and of RGB."""
    vgg = save_random(
        'vgg16-397923af.pth',
        VGG16,
        {'classifier.0': (25088, 4096), 'classifier.3': (4096, 4096), 'classifier.6': (4096, 1000)},
    )
    channels = (3, 64, 128, 256, 512, 512)
    weights = {name: torch.rand(1, sum(channels), 1, 1) for name in ('alpha', 'beta')}
    torch.save(weights, pyiqa / 'DISTS_weights-f5e65c96.pth')
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    blur = torch.outer(*[torch.tensor([0.25, 0.5, 0.25], dtype=torch.double)] * 2)

    def features(image: Image) -> list[torch.Tensor]:
        x = batch(image)
        found = [x]
        x = (x - mean) / std
        for i, (place, width, *_) in enumerate(VGG16):
            if i in (2, 4, 7, 10):
                found.append(x)
                kernel = blur.expand(width, 1, 3, 3)
                x = (torch.nn.functional.conv2d(x**2, kernel, None, 2, 1, groups=width) + 1e-12).sqrt()
            weight, bias = (vgg[f'features.{place}.{kind}'] for kind in ('weight', 'bias'))
            x = torch.nn.functional.conv2d(x, weight, bias, 1, 1).relu()
        return [*found, x]

    terms = []
    for sr, hr in zip(*map(features, images), strict=True):
        a, b = sr.mean((2, 3)), hr.mean((2, 3))
        variances = sr.var((2, 3), correction=0), hr.var((2, 3), correction=0)
        covariance = ((sr - a[..., None, None]) * (hr - b[..., None, None])).mean((2, 3))
        terms.append(
            torch.stack([(2 * a * b + 1e-6) / (a**2 + b**2 + 1e-6), (2 * covariance + 1e-6) / (sum(variances) + 1e-6)])
        )
    mixed = torch.cat(terms, -1).squeeze(1) * torch.stack([weights['alpha'].flatten(), weights['beta'].flatten()])
    expected = 1 - float(mixed.sum() / (weights['alpha'].sum() + weights['beta'].sum()))
    assert score('dists', images) == pytest.approx(expected, rel=1e-3) and expected > 1e-3
    assert score('dists', (images[1], images[1])) == pytest.approx(0, abs=1e-5)


@pytest.mark.usefixtures('pyiqa')
@pytest.mark.parametrize(('name', 'better'), [('ms_ssim', 1), ('fsim', 1), ('vsi', 1), ('gmsd', -1), ('piqe', -1)])
def test_directions_are_right(images: tuple[Image, Image], name: str, better: int):
    sr, hr = images
    blurred = cv2.GaussianBlur(sr, (0, 0), 3)
    [scorer] = load_scorers([name], 'cpu')
    assert scorer.metric.lower_is_better is (better < 0)
    assert better * (scorer(hr, hr, 4) - scorer(blurred, hr, 4)) > 0

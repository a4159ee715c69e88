"""Losses and metrics against their definitions."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from basicsr.losses import build_loss
from basicsr.metrics import calculate_metric, calculate_ssim
from basicsr.utils.matlab_functions import imresize
from scipy.ndimage import correlate1d

from asid_plugin.metrics import calculate_ssim_matlab

SET5 = Path(__file__).resolve().parents[3] / 'shared' / 'data' / 'benchmark' / 'Set5'
NEEDS_SET5 = pytest.mark.skipif(not SET5.is_dir(), reason='needs Set5, which does not come with the repository')


def images(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(2, 3, 12, 9, generator=generator, dtype=torch.float64).to(dtype) for _ in range(2))


def test_fft_loss_is_the_mean_distance_of_the_parts():
    pred, target = (x.float().requires_grad_() for x in images())
    loss = build_loss({'type': 'FFTLoss', 'loss_weight': 0.5})(pred, target)
    spectrum = np.fft.rfft2((pred - target).detach().double().numpy(), norm='ortho')
    expected = 0.5 * np.mean([np.abs(spectrum.real), np.abs(spectrum.imag)])
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert pred.grad.isfinite().all() and pred.grad.abs().sum() > 0


@pytest.mark.parametrize('name', ['FFTLoss', 'WideCharbonnierLoss'])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_losses_of_half_precision_are_float32(name: str, dtype: torch.dtype):
    pred, target = images(dtype)
    loss = build_loss({'type': name})
    assert loss(pred, target).dtype == torch.float32
    assert loss(pred, target).item() == pytest.approx(loss(pred.float(), target.float()).item(), rel=1e-6)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float32])
def test_charbonnier_has_a_gradient_where_images_are_equal(dtype: torch.dtype):
    """BasicSR's has none in float16: its eps is zero there."""
    pred, _ = images(dtype)
    pred.requires_grad_()
    loss = build_loss({'type': 'WideCharbonnierLoss'})(pred, pred.detach().clone())
    loss.backward()
    assert loss.item() == pytest.approx(1e-6, rel=1e-3)
    assert pred.grad.isfinite().all()


def ssim_of_planes(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, Equation 13 under an 11x11 Gaussian of sigma 1.5, where the window fits."""
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(x: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(x, window, 0), window, 1)[5:-5, 5:-5]

    mu_a, mu_b, c1, c2 = mean(a), mean(b), (0.01 * 255) ** 2, (0.03 * 255) ** 2
    var_a, var_b, cov = mean(a * a) - mu_a**2, mean(b * b) - mu_b**2, mean(a * b) - mu_a * mu_b
    return float(((2 * mu_a * mu_b + c1) * (2 * cov + c2) / ((mu_a**2 + mu_b**2 + c1) * (var_a + var_b + c2))).mean())


def test_ssim_matlab_rounds_luma():
    img = cv2.cvtColor(skimage.data.astronaut()[:120, 150:300], cv2.COLOR_RGB2BGR)
    img2 = cv2.GaussianBlur(img, (5, 5), 1.2)
    opt = {'crop_border': 2, 'test_y_channel': True}
    ours = calculate_metric({'img': img, 'img2': img2}, {'type': 'calculate_ssim_matlab', **opt})
    basicsr = calculate_metric({'img': img, 'img2': img2}, {'type': 'calculate_ssim', **opt})
    weights = np.array([24.966, 128.553, 65.481]) / 255
    luma = [16 + x[2:-2, 2:-2].astype(float) @ weights for x in (img, img2)]
    assert basicsr == pytest.approx(ssim_of_planes(*luma), abs=1e-6)
    assert ours == pytest.approx(ssim_of_planes(*map(np.round, luma)), abs=1e-6)
    assert 1e-4 < basicsr - ours < 5e-3


@pytest.mark.slow
@NEEDS_SET5
@pytest.mark.parametrize('scale', [2, 3, 4])
def test_ssim_of_the_luma_that_matlab_rounds(scale: int):
    gaps = []
    for path in (SET5 / f'GTmod{scale}').iterdir():
        lq = cv2.imread(str(SET5 / f'LRbicx{scale}' / path.name))
        sr = (imresize(lq / 255.0, scale) * 255).clip(0, 255).round().astype(np.uint8)
        images = {'img': sr, 'img2': cv2.imread(str(path)), 'crop_border': scale, 'test_y_channel': True}
        gaps.append(calculate_ssim(**images) - calculate_ssim_matlab(**images))
    assert 0.0010 < np.mean(gaps) < 0.0012

"""The test protocol on the real benchmark: bicubic upscaling must give the published figures."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from basicsr.metrics import calculate_ssim
from basicsr.utils.matlab_functions import imresize

from asid_plugin.metrics import calculate_ssim_matlab

ROOT = Path(__file__).resolve().parents[1]
SET5 = ROOT.parent / 'shared' / 'data' / 'benchmark' / 'Set5'

NEEDS_SET5 = pytest.mark.skipif(not SET5.is_dir(), reason='needs Set5, which does not come with the repository')


@NEEDS_SET5
@pytest.mark.parametrize(('scale', 'psnr', 'ssim'), [(2, 33.68, 0.9304), (3, 30.41, 0.8690), (4, 28.43, 0.8113)])
def test_bicubic_of_set5(scale: int, psnr: float, ssim: float, tmp_path: Path):
    gt = SET5 / f'GTmod{scale}'
    for path in gt.iterdir():
        (tmp_path / f'{path.stem}_x.png').write_bytes(path.read_bytes())  # the originals stand in for results
    command = [sys.executable, 'scripts/compare.py', '--gt', gt, '--lq', SET5 / f'LRbicx{scale}', '--sr', tmp_path]
    done = subprocess.run([*command, '--scale', str(scale)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ['mean', f'{psnr:.2f}', '/', f'{ssim:.4f}', 'inf', '/', '1.0000']


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

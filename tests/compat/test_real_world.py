"""BasicSR's models that degrade images while they train, on a CPU, and the weights that every model starts from."""

import inspect
import math
import textwrap
from copy import deepcopy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import asid_plugin  # noqa: F401  # before basicsr

# isort: split
from basicsr.data import build_dataset, degradations
from basicsr.models import build_model, realesrnet_model
from basicsr.models.base_model import BaseModel
from basicsr.models.realesrnet_model import RealESRNetModel
from basicsr.models.sr_model import SRModel
from basicsr.utils import img_process_util
from basicsr.utils.registry import ARCH_REGISTRY, MODEL_REGISTRY

import fresh
from asid_plugin.checkpoints import load_asid
from asid_plugin.compat.real_world import CPUForCUDA
from asid_plugin.options.real_world_keys import DEGRADING, GANS
from asid_plugin.options.schema import KNOWN_MODELS
from helpers import TINY

ROOT = Path(__file__).parents[2]
DEGRADATIONS = {
    'resize_prob': [0.2, 0.7, 0.1],
    'resize_range': [0.5, 1.5],
    'gaussian_noise_prob': 0.5,
    'noise_range': [1, 30],
    'poisson_scale_range': [0.05, 3],
    'gray_noise_prob': 0.4,
    'jpeg_range': [30, 95],
    'second_blur_prob': 0.8,
    'resize_prob2': [0.3, 0.4, 0.3],
    'resize_range2': [0.6, 1.2],
    'gaussian_noise_prob2': 0.5,
    'noise_range2': [1, 25],
    'poisson_scale_range2': [0.05, 2.5],
    'gray_noise_prob2': 0.4,
    'jpeg_range2': [30, 95],
    'gt_size': 32,
    'queue_size': 4,
    'gt_usm': True,
    'l1_gt_usm': True,
    'percep_gt_usm': False,
    'gan_gt_usm': False,
}
ADAM = {'type': 'Adam', 'lr': 1e-4}
GAN = {'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.1}, 'optim_d': ADAM}


def opt(model: str, network: dict[str, Any] = TINY, weights: str | None = None, train: bool = True) -> dict[str, Any]:
    """Options as `parse_options` returns them, for a machine without a GPU."""
    gan = 'GAN' in model
    scheduler = {'type': 'MultiStepLR', 'milestones': [4], 'gamma': 0.5}
    return {
        **DEGRADATIONS,
        'model_type': model,
        'name': 'tiny',
        'scale': 2,
        'num_gpu': 0,
        'dist': False,
        'rank': 0,
        'is_train': train,
        'network_g': dict(network),
        'network_d': {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4},
        'path': {'pretrain_network_g': weights, 'strict_load_g': True},
        'train': {
            'ema_decay': 0.5,
            'optim_g': dict(ADAM),
            'scheduler': scheduler,
            'pixel_opt': {'type': 'L1Loss'},
            **(deepcopy(GAN) if gan else {}),
        },
    }


def batch(num: int) -> dict[str, torch.Tensor]:
    """A batch as `RealESRGANDataset` and a loader make it, of smaller images."""
    kernel = torch.zeros(num, 21, 21)
    kernel[:, 8:13, 8:13] = 1 / 25
    images = torch.rand(num, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return {'gt': images, 'kernel1': kernel, 'kernel2': kernel, 'sinc_kernel': kernel}


@pytest.mark.slow
@pytest.mark.parametrize('model', DEGRADING)
def test_images_are_degraded_without_a_gpu(model: str) -> None:
    torch.manual_seed(0)
    tiny = build_model(opt(model))
    assert {p.device.type for p in tiny.jpeger.parameters()} == {'cpu'}
    for iteration in range(1, 4):  # the third mixes its batch from those before it
        tiny.feed_data(batch(2))
        assert tiny.lq.shape == (2, 3, 16, 16) and tiny.gt.shape == (2, 3, 32, 32)
        assert tiny.lq.is_contiguous() and 0 <= tiny.lq.min() <= tiny.lq.max() <= 1
        tiny.optimize_parameters(iteration)
        assert all(value == value for value in tiny.log_dict.values())
    assert tiny.queue_ptr == 4


@pytest.mark.parametrize('model', GANS)
def test_a_discriminator_is_loss_enough(model: str) -> None:
    options = opt(model)
    del options['train']['pixel_opt']
    tiny = build_model(options)
    tiny.lq, tiny.gt = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 32, 32)
    tiny.gt_usm = tiny.gt
    tiny.optimize_parameters(1)
    assert {'l_g_gan', 'l_d_real'} <= tiny.log_dict.keys() and not any('pix' in name for name in tiny.log_dict)


WITHOUT_CUDA = (AssertionError, RuntimeError)
"""Errors of torch that is asked for CUDA where there is none."""


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without CUDA')
def test_basicsr_itself_insists_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RealESRNetModel, '__init__', inspect.unwrap(RealESRNetModel.__init__))
    with pytest.raises(WITHOUT_CUDA, match='CUDA|NVIDIA'):
        build_model(opt('RealESRNetModel'))


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without CUDA')
def test_other_models_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a model asks for CUDA in methods of its own, it gets CUDA."""

    class TheirModel(SRModel):
        def feed_data(self, data: dict[str, torch.Tensor]) -> None:
            self.lq = data['lq'].cuda()

    monkeypatch.setitem(MODEL_REGISTRY._obj_map, 'TheirModel', TheirModel)
    model = build_model(opt('TheirModel'))
    with pytest.raises(WITHOUT_CUDA, match='CUDA|NVIDIA'):
        model.feed_data({'lq': torch.rand(1, 3, 8, 8)})
    assert inspect.unwrap(SRModel.__init__) is SRModel.__init__


class CentreFrame(nn.Module):
    """The middle one of several frames, each pixel four times: a network for `VideoBaseModel`."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * F.interpolate(x[:, x.shape[1] // 2], scale_factor=2)


def test_a_video_is_validated_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size, value in (('gt', 16, 100), ('lq', 8, 110)):
        for folder in ('a', 'b'):
            (tmp_path / name / folder).mkdir(parents=True)
            for i in range(3):
                cv2.imwrite(str(tmp_path / name / folder / f'{i}.png'), np.full((size, size, 3), value + i, np.uint8))
    roots = {f'dataroot_{name}': str(tmp_path / name) for name in ('gt', 'lq')}
    frames = {'num_frame': 3, 'padding': 'reflection', 'cache_data': False, 'io_backend': {'type': 'disk'}}
    dataset = build_dataset({'type': 'VideoTestDataset', 'name': 'Vid4', **roots, **frames})
    monkeypatch.setitem(ARCH_REGISTRY._obj_map, 'CentreFrame', CentreFrame)
    metrics = {'psnr': {'type': 'calculate_psnr', 'crop_border': 0, 'test_y_channel': False}}
    video = build_model(opt('VideoBaseModel', {'type': 'CentreFrame'}) | {'val': {'metrics': metrics}})
    video.validation(DataLoader(dataset), 1, None, False)
    expected = torch.full((3, 1), 20 * math.log10(255 / 10))  # every frame is off by 10
    assert video.metric_results.keys() == {'a', 'b'}
    assert all(torch.allclose(figures, expected) for figures in video.metric_results.values())


def test_every_holder_has_the_corrected_filter() -> None:
    corrected = img_process_util.filter2D
    assert inspect.unwrap(corrected) is not corrected
    assert realesrnet_model.filter2D is corrected


def test_tensors_for_cuda_stay_on_the_cpu() -> None:
    with CPUForCUDA():
        made = [torch.zeros(2, 3, device='cuda'), torch.ones(1).cuda(), nn.Linear(1, 1).cuda().weight]
        made.append(torch.zeros(1, device=torch.device('cuda', 0)))
        assert torch.zeros(1, device='meta').device.type == 'meta'
    assert [x.device.type for x in made] == ['cpu'] * 4


@pytest.mark.parametrize('kernels', [1, 2])
def test_images_of_any_layout_are_filtered(kernels: int) -> None:
    images = torch.rand(2, 3, 32, 40)
    kernel = torch.rand(kernels, 7, 7)
    expected = img_process_util.filter2D(images, kernel)
    lasting = images.to(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match='view'):
        inspect.unwrap(img_process_util.filter2D)(lasting, kernel)
    assert torch.equal(img_process_util.filter2D(lasting, kernel), expected)
    assert torch.equal(inspect.unwrap(img_process_util.filter2D)(images, kernel), expected)


@pytest.mark.slow
def test_a_basicsr_that_was_imported_first_is_mended() -> None:
    code = """
    import sys
    from asid_plugin.compat import basicsr as corrections
    from asid_plugin.startup import HostHook, install
    corrections.before_import()  # as little as BasicSR needs to be imported
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, HostHook)]
    import basicsr.models.realesrnet_model as theirs, basicsr.models.base_model as base
    before = theirs.RealESRNetModel.__init__, theirs.filter2D, base.BaseModel.load_network
    install()
    after = theirs.RealESRNetModel.__init__, theirs.filter2D, base.BaseModel.load_network
    print([new.__wrapped__ is old for old, new in zip(before, after)])
    from basicsr.losses.losses import L1Loss
    from basicsr.utils.matlab_functions import rgb2ycbcr
    """
    done = fresh.run(['-c', textwrap.dedent(code)], hook=False)
    assert done.stdout == '[True, True, True]\n', done.stderr


@pytest.mark.parametrize('model', KNOWN_MODELS)
def test_every_model_starts_from_the_packages_weights(model: str) -> None:
    network = {'type': 'ASID', 'upscale': 2, 'window_size': 8}
    built = build_model(opt(model, network, 'packaged:x2', train=False))
    expected = load_asid('packaged:x2').state_dict()
    found = built.get_bare_model(built.net_g).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.slow
def test_the_averaged_network_starts_from_them_too() -> None:
    network = {'type': 'ASID', 'upscale': 2}
    built = build_model(opt('RealESRNetModel', network, 'packaged:x2'))
    expected = load_asid('packaged:x2').state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in built.net_g_ema.state_dict().items())


def test_weights_of_other_networks_are_read_as_before(tmp_path: Path) -> None:
    edsr = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_block': 1, 'upscale': 2}
    built = build_model(opt('SRModel', edsr, train=False))
    with pytest.raises(FileNotFoundError):
        built.load_network(built.net_g, 'packaged:x2')
    torch.save({'params': built.net_g.state_dict()}, tmp_path / 'edsr.pth')
    built.load_network(built.net_g, str(tmp_path / 'edsr.pth'))
    with pytest.raises(FileNotFoundError):
        inspect.unwrap(BaseModel.load_network)(built, built.net_g, 'packaged:x2')


def test_jpeg_takes_qualities_that_are_no_whole_numbers() -> None:
    """As `random_add_jpg_compression` draws them; the image is that of the next whole one."""
    patch = np.random.default_rng(0).random((24, 40, 3), np.float32)
    found, theirs = degradations.add_jpg_compression(patch, 49.7), inspect.unwrap(degradations.add_jpg_compression)
    assert found.dtype == np.float32 and found.shape == patch.shape
    np.testing.assert_array_equal(found, theirs(patch, 50))
    assert degradations.random_add_jpg_compression(patch, (30, 95)).shape == patch.shape
    if degradations.add_jpg_compression is not theirs:
        with pytest.raises(cv2.error):
            theirs(patch, 49.7)

"""Small data and options that several tests use."""

import asid_plugin  # noqa: F401, I001  # also where its .pth file is not installed, BasicSR needs its import hook

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from marks import wants_gpu

from asid_plugin.tf32 import allow_tf32

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

# Where a shell has started the tests in the background, or nohup has, Ctrl-C or SIGHUP is ignored by them and by the
# commands that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, 'SIGHUP'):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config: pytest.Config) -> None:
    """Hide the GPU from all tests, and the processes that they start, but in `pytest -m gpu`, which runs no others.

    The others expect a machine without one: two ranks by gloo, no device to be counted, `num_gpu: auto` as 0, figures
    of the CPU. Nothing has asked CUDA for its devices yet, so none is seen from here on.
    """
    if wants_gpu(config.option.markexpr):
        allow_tf32(False)  # float32 is to be float32; a test that measures TF32 says so
    else:
        os.environ['CUDA_VISIBLE_DEVICES'] = ''


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that drive a browser, which is slow, and skip those that need a GPU where there is none."""
    needs_gpu = pytest.mark.skip(reason='needs a GPU, and pytest -m gpu')
    for item in items:
        if 'chromium' in getattr(item, 'fixturenames', ()):
            item.add_marker('browser')
            item.add_marker('slow')
        if item.get_closest_marker('gpu') and not torch.cuda.is_available():
            item.add_marker(needs_gpu)


@pytest.fixture(autouse=True)
def no_sampler_of_another_test() -> None:
    """Forget the sampler that a training in this process made last: a model takes it for that of its training set."""
    sampling = sys.modules.get('asid_plugin.compat.sampling')
    if sampling is not None:
        sampling._LATEST.clear()


@pytest.fixture
def options(tmp_path: Path) -> dict:
    """Options of a tiny training, as in a YAML file: 6 iterations, batch 4, LR patches of 16, 3 validation images."""
    from helpers import TINY, write_pairs  # which need BasicSR; tests of the network alone run without

    disk = {'type': 'PairedImageDataset', 'io_backend': {'type': 'disk'}}
    return {
        'name': 'tiny',
        'model_type': 'ASIDModel',
        'scale': 2,
        'num_gpu': 'auto',
        'manual_seed': 0,
        'datasets': {
            'train': {
                **disk,
                **write_pairs(tmp_path / 'train', 4),
                'name': 'train',
                'gt_size': 32,
                'use_hflip': True,
                'use_rot': True,
                'num_worker_per_gpu': 0,
                'batch_size_per_gpu': 4,
                'dataset_enlarge_ratio': 2,
            },
            'val': {**disk, **write_pairs(tmp_path / 'val', 3), 'name': 'val'},
        },
        'network_g': dict(TINY),
        'path': {'pretrain_network_g': None, 'strict_load_g': True, 'resume_state': None},
        'train': {
            'optim_g': {'type': 'AdamW', 'lr': 1e-3, 'weight_decay': 0},
            'scheduler': {'type': 'MultiStepLR', 'milestones': [4], 'gamma': 0.5},
            'total_iter': 6,
            'pixel_opt': {'type': 'L1Loss'},
        },
        'val': {
            'val_freq': 3,
            'save_img': False,
            'metrics': {
                'psnr': {'type': 'calculate_psnr', 'crop_border': 2, 'test_y_channel': True},
                'ssim': {'type': 'calculate_ssim', 'crop_border': 2, 'test_y_channel': True},
            },
        },
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 3, 'use_tb_logger': False},
    }


@pytest.fixture(scope='session')
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator['Chrome']:
    """A headless browser that finds this machine alone."""
    webdriver = pytest.importorskip('selenium.webdriver')
    browser, driver = shutil.which('chromium') or shutil.which('chromium-browser'), shutil.which('chromedriver')
    if not browser or not driver:
        pytest.skip('chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)')
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    for argument in (
        '--headless=new',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--no-first-run',
        '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
        '--force-device-scale-factor=1',
        '--force-color-profile=srgb',
        '--window-size=1150,700',  # wider, the text is centred, of an odd width on half a pixel
        f'--user-data-dir={tmp_path_factory.mktemp("chromium")}',
    ):
        options.add_argument(argument)
    with webdriver.Chrome(
        options, webdriver.ChromeService(driver)
    ) as chrome:  # with both paths selenium looks for no downloads
        yield chrome

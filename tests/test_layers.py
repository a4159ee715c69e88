"""The lower layers without the frameworks that may host them."""

import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest

from asid_plugin.extras import how_to_install

HOSTS = ('basicsr', 'gradio', 'jinja2', 'jsonschema', 'lmdb', 'matplotlib', 'mmcv', 'mmengine', 'skimage', 'spandrel')
HOSTS += ('torchvision', 'yaml')


def run_without(packages: tuple[str, ...], code: str, folder: Path) -> str:
    """Run code in an interpreter in which these packages cannot be imported; returns what it printed."""
    blocked = f"""
        import sys

        class Without:
            # a finder that does not find some packages

            def __init__(self, finder):
                self.finder = finder

            def find_spec(self, name, path=None, target=None):
                return None if name.partition('.')[0] in {packages!r} else self.finder.find_spec(name, path, target)

        sys.meta_path[:] = map(Without, sys.meta_path)
    """
    script = textwrap.dedent(blocked) + textwrap.dedent(code)
    done = subprocess.run([sys.executable, '-c', script], cwd=folder, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_the_network_needs_torch_alone(tmp_path: Path) -> None:
    code = """
        import importlib, pkgutil, asid_plugin
        for room in ('archs', 'layouts', 'published'):
            package = importlib.import_module(f'asid_plugin.{room}')
            for module in pkgutil.iter_modules(package.__path__, f'asid_plugin.{room}.'):
                importlib.import_module(module.name)
        import torch
        net = asid_plugin.ASID(num_feat=16, num_block=1, upscale=3)
        print(*net(torch.rand(1, 3, 9, 14)).shape)
    """
    others = (*HOSTS, 'cv2', 'numpy', 'safetensors', 'tqdm')
    assert run_without(others, code, tmp_path) == '1 3 27 42\n'


@pytest.mark.slow
def test_checkpoints_and_inference_need_no_host(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((20, 24, 3), 128, np.uint8))
    code = """
        import importlib, pkgutil
        for room in ('checkpoints', 'inference'):
            package = importlib.import_module(f'asid_plugin.{room}')
            for module in pkgutil.iter_modules(package.__path__, f'asid_plugin.{room}.'):
                importlib.import_module(module.name)
        from asid_plugin.commands.main import main
        assert main(['upscale', 'a.png', '-o', 'b.png', '--scale', '3']) == 0
        assert main(['convert', 'packaged:x2', 'a.pth', '--layout', 'authors']) == 0
        assert main(['complexity']) == main(['info']) == 0
    """
    run_without(HOSTS, code, tmp_path)
    assert cv2.imread(str(tmp_path / 'b.png')).shape == (60, 72, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('blocked', 'command', 'extra'),
    [
        ('basicsr', "['train', 'options.yml']", 'basicsr'),
        ('basicsr', "['evaluate', 'Set5', '--scale', '2']", 'evaluate'),
        ('jinja2', "['evaluate', 'Set5', '--scale', '2']", 'evaluate'),
        ('mmengine', "['mmengine', 'train', 'config.py']", 'mmengine'),
        ('matplotlib', "['paper', 'figure7']", 'evaluate'),
        ('gradio', "['demo']", 'demo'),
        ('lmdb', "['prepare', 'div2k']", 'basicsr'),
    ],
)
def test_a_missing_extra_is_named(tmp_path: Path, blocked: str, command: str, extra: str) -> None:
    (tmp_path / 'options.yml').touch()
    code = f"""
        import contextlib, io
        from asid_plugin.commands.main import main
        with contextlib.redirect_stderr(io.StringIO()) as err:
            status = main({command})
        print(status, err.getvalue().splitlines()[-1])
    """
    said = run_without((blocked,), code, tmp_path).splitlines()[-1]
    name = command.split("'")[1]
    assert said == f'2 error: asid {name} needs {blocked}, which is not installed: {how_to_install(extra)}'

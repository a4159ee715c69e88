"""Names and commands of version 0.1.0 still work, and say where they are now."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest


def run(*argv: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *argv], cwd=cwd, text=True, capture_output=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('train', 'train'),
        ('test', 'test'),
        ('upscale', 'upscale'),
        ('convert', 'convert'),
        ('complexity', 'complexity'),
        ('demo', 'demo'),
        ('evaluate', 'evaluate'),
        ('export', 'export'),
        ('paper', 'paper'),
        ('options', 'schema'),
        ('mm.train', 'mmengine train'),
        ('mm.test', 'mmengine test'),
    ],
)
def test_commands(tmp_path: Path, old: str, new: str) -> None:
    done = run('-m', f'asid_plugin.{old}', '--help', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f'usage: asid {new} ')
    assert f'note: python -m asid_plugin.{old} is now asid {new}\n' in done.stderr


@pytest.mark.slow
def test_a_command_does_what_it_did(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((20, 24, 3), 128, np.uint8))
    done = run('-m', 'asid_plugin.upscale', 'a.png', '-o', 'b.png', '--weights', 'packaged:x4', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(tmp_path / 'b.png')).shape == (80, 96, 3)


@pytest.mark.parametrize(
    ('old', 'name', 'new'),
    [
        ('checkpoint', 'load_asid', 'asid_plugin.checkpoints'),
        ('checkpoint', 'CheckpointError', 'asid_plugin.checkpoints'),
        ('image_io', 'read_image', 'asid_plugin.inference.images'),
        ('memory', 'keep_freed_memory', 'asid_plugin.inference.memory'),
        ('tiling', 'tiled', 'asid_plugin.inference.tiling'),
        ('variants', 'VARIANTS', 'asid_plugin.published.variants'),
        ('weights', 'metadata', 'asid_plugin.checkpoints.packaged'),
        ('complexity', 'paper_flops', 'asid_plugin.cost.complexity'),
        ('convert', 'convert', 'asid_plugin.checkpoints'),
        ('exported', 'load_onnx', 'asid_plugin.inference.runtimes'),
        ('mm.registry', 'MODELS', 'asid_plugin.mmengine.registry'),
        ('mm.model', 'SuperResolver', 'asid_plugin.mmengine.model'),
        ('upscale', 'Upscaler', 'asid_plugin.inference'),
    ],
)
def test_names(old: str, name: str, new: str) -> None:
    module = __import__(f'asid_plugin.{old}', fromlist=[''])
    with pytest.warns(DeprecationWarning, match=f'asid_plugin.{old}.{name} has moved to {new}') as caught:
        found = getattr(module, name)
    assert caught[0].filename == __file__
    assert found is getattr(__import__(new, fromlist=['']), name)
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018


@pytest.mark.slow
def test_configs_that_import_the_old_package_find_everything(tmp_path: Path) -> None:
    code = """
import warnings
from mmengine.config import Config
from mmengine.registry import MODELS
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    from mmengine.utils import import_modules_from_strings
    import_modules_from_strings(['asid_plugin.archs', 'asid_plugin.mm'], allow_failed_imports=False)
assert any('asid_plugin.mm has moved to asid_plugin.mmengine' in str(w.message) for w in caught)
print(*(MODELS.get(name).__name__ for name in ('ASID', 'asid.SuperResolver', 'asid.CAM')), MODELS.get('CAM'))
"""
    done = run('-c', code, cwd=tmp_path)
    assert done.stdout.splitlines()[-1:] == ['ASID SuperResolver CAM None'], done.stderr

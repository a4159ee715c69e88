"""Names and commands of version 0.1.0 still work, and say where they are now."""

import subprocess
from argparse import Namespace
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest

import fresh


def run(*argv: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return fresh.run(argv, cwd)


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
        ('checkpoint', 'network_part', 'asid_plugin.layouts.parts'),
        ('image_io', 'read_image', 'asid_plugin.images'),
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
        ('upscale', 'BACKENDS', 'asid_plugin.inference.upscaler'),
        ('upscale', 'DEFAULT_SCALE', 'asid_plugin.commands.upscale'),
        ('upscale', 'UsageError', 'asid_plugin.errors'),
        ('upscale', 'choose_weights', 'asid_plugin.commands.upscale'),
        ('upscale', 'image_failures', 'asid_plugin.inference.upscaler'),
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


@pytest.mark.parametrize(
    ('old', 'name', 'module', 'new'),
    [
        ('checkpoint', 'Layout', 'asid_plugin.checkpoints.file_layouts', 'FileLayout'),
        ('image_io', 'Format', 'asid_plugin.images', 'ImageFormat'),
        ('upscale', 'add_running_options', 'asid_plugin.commands.arguments', 'add_running_arguments'),
    ],
)
def test_names_that_are_others_now(old: str, name: str, module: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f'asid_plugin.{old}.{name} has moved to {module}.{new}'):
        found = getattr(import_module(f'asid_plugin.{old}'), name)
    assert found is getattr(import_module(module), new)


def test_functions_that_give_other_things_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from asid_plugin import upscale

    image = tmp_path / 'a.png'
    cv2.imwrite(str(image), np.full((20, 24, 3), 128, np.uint8))
    with pytest.warns(DeprecationWarning, match='upscale.plan has moved') as caught:
        assert upscale.plan([tmp_path], Path('out'), 'jpg') == {image: Path('out/a.jpg')}
    assert caught[0].filename == __file__
    args = Namespace(
        **{'weights': Path('packaged:x3'), 'scale': None, 'tile': 32, 'tile_overlap': 8},
        **{'backend': 'torch', 'device': 'cpu', 'half': False},
    )
    with pytest.warns(DeprecationWarning, match='load_upscaler has moved'):
        loaded = upscale.load_upscaler(args)
    assert (loaded.scale, loaded.tile, loaded.overlap) == (3, 32, 8)
    with pytest.warns(DeprecationWarning, match='upscale.main has moved to asid upscale'):
        assert upscale.main([str(tmp_path / 'none.png'), '-o', 'out']) == 2
    assert 'none.png: no such file' in capsys.readouterr().err


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

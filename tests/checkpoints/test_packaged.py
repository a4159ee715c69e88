"""The weights that come with the package: what they are, that they are used, and that they are good."""

import csv
import hashlib
import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
import yaml
from safetensors.torch import load_file

import package_weights
from asid_plugin.archs import ASID
from asid_plugin.checkpoints import CheckpointError, load_asid, packaged, read_state_dict
from asid_plugin.checkpoints.packaged import (
    FOLDER,
    metadata,
    packaged_file,
    packaged_name,
    packaged_names,
    packaged_scales,
)
from asid_plugin.demo.offers import load_offers
from asid_plugin.evaluate.methods import Running, load_candidates
from asid_plugin.evaluate.protocol import downscale, measure
from asid_plugin.prepare.degraded import DEGRADATIONS
from asid_plugin.prepare.photos import held_out
from helpers import command

ROOT = Path(__file__).parents[2]
BENCHMARK = ROOT.parent / 'shared' / 'data' / 'benchmark'
SCALES = (2, 3, 4)
convert, upscale = command('convert'), command('upscale')


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder of weights, which the package takes for its own."""
    folder = tmp_path / 'weights'
    shutil.copytree(FOLDER, folder)
    monkeypatch.setattr(packaged, 'FOLDER', folder)
    return folder


def test_what_there_is():
    assert packaged_scales() == list(SCALES) and packaged_scales('real') == [2, 4]
    files = list(FOLDER.glob('*.safetensors'))
    assert sorted(files) == sorted(packaged_file(name) for name in packaged_names())
    assert sum(path.stat().st_size for path in files) < 5e6


FREE = {
    'CC0-1.0',
    'CC-BY-2.0',
    'CC-BY-3.0',
    'CC-BY-4.0',
    'CC-BY-SA-3.0',
    'CC-BY-SA-4.0',
    'GPL-2.0-only',
    'GPL-2.0-or-later',
    'LGPL-3.0',
    'Pexels',
    'Unsplash',
    'public domain',
}
"""Licences that allow commercial use and changes."""


def test_every_training_photograph_is_listed_with_a_free_licence():
    with (FOLDER / 'photographs.csv').open(encoding='utf-8', newline='') as file:
        photographs = list(csv.DictReader(file))
    assert len({photo['file'] for photo in photographs}) == len(photographs)
    assert {name for photo in photographs for name in photo['licence'].split(' or ')} == FREE
    assert all(photo[column] for photo in photographs for column in photo if column != 'author')
    kept_back = held_out([Path(photo['file']) for photo in photographs])
    assert [photo['file'] for photo in photographs if photo['use'] == 'held out'] == [path.name for path in kept_back]
    trained = sum(photo['use'] == 'training' for photo in photographs)
    assert trained == len(photographs) - len(kept_back)
    assert {metadata(packaged_file(name))['data'] for name in packaged_names()} == {
        f'{trained} freely licensed photographs'
    }
    card = (FOLDER / 'README.md').read_text(encoding='utf-8')
    for repository, number in Counter(photo['repository'] for photo in photographs).items():
        assert f'| [{repository}](https://github.com/{repository}) | {number} |' in card


def test_sha256sum_agrees():
    if not shutil.which('sha256sum'):
        pytest.skip('no sha256sum here')
    subprocess.run(
        ['sha256sum', '--check', '--strict', packaged.CHECKSUMS], cwd=FOLDER, check=True, capture_output=True
    )


@pytest.mark.parametrize('name', packaged_names())
def test_the_metadata_say_what_trained_them(name: str):
    known = metadata(packaged_file(name))
    options = ROOT / 'options' / 'photos' / known['options']
    assert hashlib.sha256(options.read_bytes()).hexdigest() == known['options_sha256']
    opt = yaml.safe_load(options.read_text())
    network_g = json.loads(known['network_g'])
    assert network_g.items() >= opt['network_g'].items()
    assert f'packaged:x{network_g["upscale"]}' == name.removesuffix('-real')
    assert int(known['iterations']) == opt['train']['total_iter']
    with (ROOT / 'docs' / 'curves' / f'{options.stem}.csv').open() as file:  # its curve
        *_, last = csv.DictReader(file)
    assert last['iter'] == known['iterations']


@pytest.mark.parametrize('name', packaged_names())
def test_the_card_has_the_results(name: str):
    card = (FOLDER / 'README.md').read_text(encoding='utf-8')
    for by_how in json.loads(metadata(packaged_file(name))['results']).values():
        for psnr, ssim in by_how.values():
            assert f'{psnr:.2f} / {ssim:.4f}' in card


@pytest.mark.slow
@pytest.mark.parametrize('scale', SCALES)
def test_the_results_are_those_measured_here(scale: int, monkeypatch: pytest.MonkeyPatch):
    """Of whole images; of tiles, which take three times as long, at x4 alone."""
    if not BENCHMARK.is_dir():
        pytest.skip('../shared/data/benchmark is not there')
    hows = ('tiles', 'whole') if scale == 4 else ('whole',)
    monkeypatch.setattr(package_weights, 'HOWS', hows)
    found = package_weights.measure({'own': Path(packaged_name(scale))}, scale, [BENCHMARK / 'Set5'])['own']['Set5']
    expected = json.loads(metadata(packaged_file(packaged_name(scale)))['results'])['Set5']
    for how in hows:
        assert found[how] == pytest.approx(expected[how], abs=2e-3)


def psnrs(hr: np.ndarray, lq: np.ndarray, *names: str) -> list[float]:
    """Of bicubic enlargement, then of these weights."""
    scale = hr.shape[0] // lq.shape[0]
    srs = [cv2.resize(lq, hr.shape[1::-1], interpolation=cv2.INTER_CUBIC)]
    for name in names:
        with torch.inference_mode():
            sr = load_asid(name)(torch.from_numpy(lq).permute(2, 0, 1)[None] / 255)
        srs.append((sr[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())
    return [measure(sr, hr, scale).psnr for sr in srs]


@pytest.mark.slow
@pytest.mark.parametrize(('scale', 'gain'), [(2, 1.5), (3, 1.0), (4, 0.7)])
def test_they_beat_bicubic_on_another_photograph(scale: int, gain: float):
    """By this many dB, on a photograph that comes with scikit-image."""
    side = 240
    hr = np.ascontiguousarray(skimage.data.astronaut()[:side, 120 : 120 + side])
    bicubic, clean = psnrs(hr, downscale(hr, scale), packaged_name(scale))
    assert clean > bicubic + gain


@pytest.mark.slow
@pytest.mark.parametrize(
    ('scale', 'kind', 'gain'), [(2, 'JPEG_50', 0.8), (2, 'noise_15', 2.5), (4, 'JPEG_50', 0.5), (4, 'noise_15', 1.2)]
)
def test_those_for_photographs_beat_bicubic_and_the_others_on_artefacts(scale: int, kind: str, gain: float):
    """By this many dB, on the same photograph."""
    side = 240
    hr = np.ascontiguousarray(skimage.data.astronaut()[:side, 120 : 120 + side])
    lq = DEGRADATIONS[kind](downscale(hr, scale)[..., ::-1])[..., ::-1].copy()  # which are of BGR
    bicubic, clean, real = psnrs(hr, lq, packaged_name(scale), packaged_name(scale, 'real'))
    assert real > max(bicubic, clean) + gain


@pytest.mark.parametrize('name', ['packaged:x5', 'packaged:', 'packaged:2', 'packaged:x2.pth'])
def test_a_name_that_there_is_not(name: str):
    with pytest.raises(CheckpointError, match='^' + name + ': no such weights in the package; available: packaged:x2'):
        read_state_dict(name)


def test_other_names_are_paths(tmp_path: Path):
    assert packaged_file(tmp_path / 'packaged.pth') is None
    with pytest.raises(CheckpointError, match='no such file'):
        read_state_dict(tmp_path / 'packaged:x2')


def test_a_changed_file_is_refused(copy: Path):
    path = copy / 'ASID_x2.safetensors'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert load_file(path)  # to safetensors it is sound
    with pytest.raises(CheckpointError, match=r'packaged:x2: .*ASID_x2.safetensors does not have the checksum'):
        load_asid('packaged:x2')
    path.unlink()
    with pytest.raises(CheckpointError, match='is missing; reinstall the package'):
        load_asid('packaged:x2')
    load_asid('packaged:x3')


@pytest.mark.slow
def test_upscale_uses_them_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture):
    cv2.imwrite(str(tmp_path / 'a.png'), skimage.data.astronaut()[:40, :40, ::-1])
    for arguments, scale in (([], 2), (['--scale', '2'], 2), (['--scale', '3'], 3), (['--scale', '4'], 4)):
        assert upscale([str(tmp_path / 'a.png'), '-o', str(tmp_path / 'b.png'), *arguments]) == 0
        assert cv2.imread(str(tmp_path / 'b.png')).shape == (40 * scale, 40 * scale, 3)
        assert f'using packaged:x{scale} from the package' in capsys.readouterr().err
        named = [str(tmp_path / 'a.png'), '-o', str(tmp_path / 'c.png'), '--weights', packaged_name(scale)]
        assert upscale(named) == 0
        assert 'note' not in capsys.readouterr().err
        assert (tmp_path / 'b.png').read_bytes() == (tmp_path / 'c.png').read_bytes()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--scale', '5'], 'the package has no weights for x5, only for x2, x3, x4; pass --weights FILE'),
        (['--scale', '3', '--weights', 'packaged:x2'], '--scale 3: packaged:x2 holds a network of scale 2'),
        (['--backend', 'onnxruntime'], 'asid export packaged:x2 OUT.onnx writes one'),
    ],
    ids=['scale', 'other-scale', 'backend'],
)
def test_upscale_says_what_there_is(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((16, 16, 3), np.uint8))
    assert upscale([str(tmp_path / 'a.png'), '-o', str(tmp_path / 'b.png'), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'b.png').exists()


@pytest.mark.slow
def test_the_page_offers_them():
    offered = {name: offer.upscaler.scale for name, offer in load_offers([]).items()}
    assert [*offered] == packaged_names()
    assert offered.items() >= {'packaged:x2': 2, 'packaged:x3': 3, 'packaged:x4': 4}.items()


def test_the_evaluator_calls_them_by_their_name():
    running = Running(2, ('whole',), 64, 24, False, 'cpu', torch.float32)
    methods = [candidate.method for candidate in load_candidates(['packaged:x2', 'mine=packaged:x2'], running)]
    assert [(method.label, method.params) for method in methods[1:]] == [
        ('ASID, packaged, whole', 297_516),
        ('mine, whole', 297_516),
    ]


def test_they_can_be_converted(tmp_path: Path):
    assert convert(['packaged:x2', str(tmp_path / 'net.pth')]) == 0
    converted, own = read_state_dict(tmp_path / 'net.pth'), read_state_dict('packaged:x2')
    assert converted.keys() == own.keys()
    assert all(torch.equal(converted[key], value) for key, value in own.items())


def test_a_network_is_packaged_as_trained(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By the script's own steps, with a network that was not trained, on an image."""
    net = ASID(num_feat=16, num_block=1, upscale=2).eval()
    full = net.state_dict()
    half = package_weights.to_half(full)
    assert {value.dtype for value in half.values()} == {torch.float16}
    path = copy / 'ASID_x2.safetensors'
    monkeypatch.setattr(package_weights, 'FOLDER', copy)
    package_weights.write(path, half, {'format': 'pt', 'network_g': {'upscale': 2}, 'iterations': 7})
    assert metadata(packaged_file('packaged:x2')) == {'format': 'pt', 'network_g': '{"upscale": 2}', 'iterations': '7'}
    assert packaged_scales() == list(SCALES)
    loaded = load_asid('packaged:x2')
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), net(x), atol=5e-3, rtol=0)


def test_storage_that_moves_results_is_refused(capsys: pytest.CaptureFixture):
    full = {'Set5': {'tiles': (37.5, 0.958)}}
    package_weights.check_storage(full, {'Set5': {'tiles': (37.4901, 0.958)}})
    assert 'Set5, tiles: 37.5000 / 0.9580, in float16 37.4901 / 0.9580' in capsys.readouterr().out
    with pytest.raises(ValueError, match=r'Set5, tiles: float16 moves PSNR by -0\.0200 dB; nothing written'):
        package_weights.check_storage(full, {'Set5': {'tiles': (37.48, 0.958)}})

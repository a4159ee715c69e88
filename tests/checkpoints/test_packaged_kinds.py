"""The second kind of packaged weights, for photographs as they are, wherever the first is named."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import skimage.data
import torch
import yaml

import package_weights
from asid_plugin.archs import ASID
from asid_plugin.checkpoints import (
    CheckpointError,
    WeightsError,
    load_asid,
    packaged,
    packaged_file,
    packaged_name,
    packaged_names,
    packaged_scales,
)
from asid_plugin.checkpoints.packaged import better_packaged, metadata
from asid_plugin.demo.offers import load_offers, purpose
from asid_plugin.evaluate.methods import Running, load_candidates
from asid_plugin.evaluate.protocol import downscale
from helpers import command, random_net

NAMES = ['packaged:x2', 'packaged:x3', 'packaged:x2-real', 'packaged:x4-real']
upscale = command('upscale')


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of small weights that the package takes for its own: x2 and x3, and x2 and x4 of the second kind."""
    folder = tmp_path / 'weights'
    folder.mkdir()
    for module in (packaged, package_weights):
        monkeypatch.setattr(module, 'FOLDER', folder)
    for name in NAMES:
        put(folder, name, random_net(num_feat=16, num_block=1, upscale=int(name[len('packaged:x')])))
    return folder


def put(folder: Path, name: str, net: ASID) -> None:
    """Package a network; those of the second kind are a tenth larger in all their weights."""
    factor = 1.1 if name.endswith('-real') else 1
    weights = package_weights.to_half({key: value * factor for key, value in net.state_dict().items()})
    path = folder / f'ASID_{name.removeprefix("packaged:")}.safetensors'
    package_weights.write(path, weights, {'format': 'pt', 'data': 'cats'})


@pytest.fixture
def jpeg(tmp_path: Path) -> Callable[[int], str]:
    """A function that writes a JPEG of a quality and returns its path."""

    def write(quality: int) -> str:
        path = tmp_path / f'{quality}.jpg'
        PIL.Image.fromarray(skimage.data.astronaut()[:24, 100:132]).save(path, quality=quality)
        return str(path)

    return write


def test_their_names(folder: Path) -> None:
    assert packaged_names() == NAMES
    assert packaged_scales() == [2, 3] and packaged_scales('real') == [2, 4]
    assert packaged_name(2) == 'packaged:x2' and packaged_name(4, 'real') == 'packaged:x4-real'
    assert packaged_file('packaged:x2-real') == folder / 'ASID_x2-real.safetensors'
    real, clean = (load_asid(name).state_dict() for name in ('packaged:x2-real', 'packaged:x2'))
    assert any(not torch.equal(value, clean[key]) for key, value in real.items())


@pytest.mark.parametrize('name', ['packaged:x3-real', 'packaged:x2-rea', 'packaged:x2-', 'packaged:-real'])
def test_names_that_there_are_not(folder: Path, name: str) -> None:
    there_are = ', '.join(NAMES)
    with pytest.raises(CheckpointError, match=f'^{name}: no such weights in the package; available: {there_are}$'):
        load_asid(name)
    with pytest.raises(WeightsError, match=f'^the package has no weights packaged:x3-real; available: {there_are}$'):
        packaged_name(3, 'real')
    with pytest.raises(WeightsError, match=r'^the package has no weights for x4, only for x2, x3$'):
        packaged_name(4)


def test_a_changed_file_is_refused(folder: Path) -> None:
    path = folder / 'ASID_x4-real.safetensors'
    path.write_bytes(path.read_bytes()[:-1] + b'x')
    with pytest.raises(CheckpointError, match='packaged:x4-real: .* does not have the checksum'):
        load_asid('packaged:x4-real')


def test_commands_and_hosts_know_them(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    expected = load_asid('packaged:x2-real').state_dict()
    assert command('info')([]) == 0
    assert ', '.join(NAMES) in capsys.readouterr().out
    assert command('convert')(['packaged:x2-real', str(tmp_path / 'net.pth')]) == 0
    own = ASID.from_pretrained('packaged:x2-real').state_dict()
    from asid_plugin.mmengine.load_from import load_from_safetensors

    mmengines = load_from_safetensors('packaged:x2-real')['state_dict']
    for key, value in expected.items():
        assert torch.equal(own[key], value.float())
        assert torch.equal(mmengines[f'generator.{key}'].float(), value.float())


def test_basicsrs_models_start_from_them(folder: Path) -> None:
    import asid_plugin.models  # noqa: F401  # before basicsr

    # isort: split
    from basicsr.models import build_model

    network = {'type': 'ASID', 'num_feat': 16, 'num_block': 1, 'upscale': 2}
    path = {'pretrain_network_g': 'packaged:x2-real', 'strict_load_g': True}
    opt = {'num_gpu': 0, 'dist': False, 'is_train': False, 'scale': 2, 'network_g': network, 'path': path}
    model = build_model({**opt, 'model_type': 'SRModel'})
    for key, value in load_asid('packaged:x2-real').state_dict().items():
        assert torch.equal(model.net_g.state_dict()[key], value.float())


@pytest.mark.slow
def test_the_evaluator_tells_both_apart(folder: Path) -> None:
    for name in ('packaged:x2', 'packaged:x2-real'):
        put(folder, name, random_net(upscale=2))
    running = Running(2, ('whole',), 64, 24, False, 'cpu', torch.float32)
    methods = [candidate.method for candidate in load_candidates(['packaged:x2', 'packaged:x2-real'], running)]
    assert [method.label for method in methods[1:]] == ['ASID, packaged, whole', 'ASID, packaged real, whole']
    assert [method.published for method in methods[1:]] == ['ASID', '']


def test_the_page_offers_both(folder: Path) -> None:
    offers = load_offers([])
    assert [*offers] == NAMES
    assert {name: offer.upscaler.scale for name, offer in offers.items()} == dict(zip(NAMES, (2, 3, 2, 4), strict=True))
    assert purpose(Path('packaged:x2')).startswith('For clean photographs')
    assert purpose(Path('packaged:x2-real')).startswith(
        'For JPEG-compressed or noisy photographs: trained on cats, degraded.'
    )


@pytest.mark.slow
def test_the_page_says_of_a_jpeg_that_the_others_exist(folder: Path, jpeg: Callable[[int], str]) -> None:
    from asid_plugin.demo.keeping import Kept
    from asid_plugin.demo.page import Page

    page = Page(load_offers([]), 10**6, Kept(folder, 10**9))
    note = 'a JPEG of quality 75 (estimated); the weights packaged:x2-real are for such pictures'
    assert note in page._judge(jpeg(75), 'packaged:x2')[0]
    for path, name in ((jpeg(90), 'packaged:x2'), (jpeg(75), 'packaged:x2-real'), (jpeg(75), 'packaged:x3')):
        assert 'JPEG' not in page._judge(path, name)[0]
    alone = Page({'packaged:x2': page.offers['packaged:x2']}, 10**6, Kept(folder, 10**9))
    assert 'JPEG' not in alone._judge(jpeg(75), 'packaged:x2')[0]


@pytest.mark.parametrize(
    ('name', 'quality', 'better'),
    [
        ('packaged:x2', 89, 'packaged:x2-real'),
        ('packaged:x2', 90, None),
        ('packaged:x2', 0, None),
        ('packaged:x3', 50, None),
        ('packaged:x2-real', 50, None),
        ('net.pth', 50, None),
    ],
)
def test_which_are_better(folder: Path, name: str, quality: int, better: str | None) -> None:
    assert better_packaged(Path(name), quality) == better


@pytest.mark.slow
def test_upscale_takes_them(folder: Path, jpeg: Callable[[int], str], tmp_path: Path, capsys) -> None:
    written = []
    for number, words in enumerate((['--real'], ['--weights', 'packaged:x2-real'], ['--real', '--scale', '2'], [])):
        out = tmp_path / f'{number}.png'
        assert upscale([jpeg(95), '-o', str(out), *words]) == 0
        assert ('no --weights given' in capsys.readouterr().err) == (not words)
        written.append(out.read_bytes())
    assert written[0] == written[1] == written[2] != written[3]
    assert upscale([jpeg(95), '-o', str(tmp_path / 'b.png'), '--real', '--scale', '4']) == 0
    assert cv2.imread(str(tmp_path / 'b.png')).shape == (96, 128, 3)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (
            ['--real', '--scale', '3'],
            f'error: the package has no weights packaged:x3-real; available: {", ".join(NAMES)}; pass --weights FILE\n',
        ),
        (
            ['--real', '--weights', 'packaged:x2'],
            'error: --real and --weights packaged:x2 exclude each other; leave one out\n',
        ),
    ],
    ids=['scale', 'both'],
)
def test_upscale_refuses(folder: Path, jpeg: Callable, tmp_path: Path, capsys, words: list[str], message: str) -> None:
    assert upscale([jpeg(95), '-o', str(tmp_path / 'b.png'), *words]) == 2
    assert capsys.readouterr().err.endswith(message)
    assert not (tmp_path / 'b.png').exists()


@pytest.mark.slow
def test_upscale_says_once_that_they_exist(folder: Path, jpeg: Callable, tmp_path: Path, capsys) -> None:
    images = [jpeg(95), jpeg(89), jpeg(50)]
    note = f'note: {images[1]}: a JPEG of quality 89 (estimated), but packaged:x2 is for clean images; --real uses '
    for words in ([], ['--weights', 'packaged:x2']):
        assert upscale([*images, '-o', str(tmp_path / 'out'), *words]) == 0
        said = capsys.readouterr().err
        assert said.count('a JPEG of quality') == 1 and note in said
    for words in (['--real'], ['--skip-existing']):  # the last has nothing left to do
        out = tmp_path / 'out' if words == ['--skip-existing'] else tmp_path / words[-1]
        assert upscale([*images, '-o', str(out), *words]) == 0
        assert 'a JPEG of quality' not in capsys.readouterr().err
    assert upscale([*images, '-o', str(tmp_path / 'x3'), '--scale', '3']) == 0  # for which there are none
    assert 'but packaged:x3 is for clean images; artefacts are amplified\n' in capsys.readouterr().err


def test_artefacts_are_named_without_other_weights_too(folder: Path, jpeg: Callable, tmp_path: Path, capsys) -> None:
    """But not for a PNG, even if it was a JPEG before."""
    for image, number in ((jpeg(50), 1), (jpeg(95), 0), (str(tmp_path / 'b.png'), 0)):
        assert upscale([image, '-o', str(tmp_path / 'b.png' if number else tmp_path / 'c.png'), '--scale', '3']) == 0
        assert capsys.readouterr().err.count('is for clean images; artefacts are amplified') == number


def test_a_trained_network_is_packaged_as_one_of_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    net = random_net(num_feat=16, num_block=1, upscale=3)
    Path('experiments/mine/models').mkdir(parents=True)
    torch.save({'params_ema': net.state_dict()}, 'experiments/mine/models/net_g_latest.pth')
    Path('mine.yml').write_text(yaml.safe_dump({'name': 'mine', 'train': {'total_iter': 7}}))
    hr = np.ascontiguousarray(skimage.data.astronaut()[:48, 100:148])
    for kind, image in (('GTmod3', hr), ('LRbicx3', downscale(hr, 3))):
        Path('sets/Set', kind).mkdir(parents=True)
        cv2.imwrite(f'sets/Set/{kind}/a.png', image)
    words = ['mine.yml', '--data', 'cats', '--benchmarks', 'sets/Set', '--kind', 'real']
    assert package_weights.main(words) == 0, capsys.readouterr().err
    assert packaged_names() == [*NAMES[:3], 'packaged:x3-real', NAMES[3]]
    known = metadata(packaged_file('packaged:x3-real'))
    assert (known['data'], known['iterations']) == ('cats', '7')

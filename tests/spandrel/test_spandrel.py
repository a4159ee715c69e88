"""spandrel with ASID in its registry: what it recognises, what it leaves to others, and the images it makes."""

import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import asid_plugin.spandrel  # before spandrel: it repairs spandrel's imports
import fresh
from asid_plugin.archs import ASID, OmniSR
from asid_plugin.checkpoints import LAYOUTS, CheckpointError, load_asid, save_state_dict
from asid_plugin.layouts.author_layout import to_author_layout
from asid_plugin.layouts.omnisr_layout import to_released_layout

# isort: split
import spandrel.architectures.OmniSR
import spandrel.architectures.SwinIR
from spandrel import MAIN_REGISTRY, ArchRegistry, ImageModelDescriptor, ModelLoader, UnsupportedModelError

ROOT = Path(__file__).parents[2]
# Arguments, and the tags that say them.
VARIANTS = [
    ({'num_feat': 48, 'num_block': 8}, ['ASID-D8', '48nf', '8nb', 'w8', 'inter']),
    ({'upscale': 3, 'num_feat': 32, 'window_size': 4}, ['32nf', '2nb', 'w4', 'inter']),
    ({'upscale': 4, 'num_in_ch': 1, 'num_out_ch': 1}, ['16nf', '2nb', 'w8', 'inter']),
    ({'upscale': 1}, ['16nf', '2nb', 'w8', 'inter']),
    ({'sharing': 'none'}, ['16nf', '2nb', 'w8', 'none']),
    ({'sharing': 'intra', 'num_block': 1}, ['16nf', '1nb', 'w8', 'intra']),
    ({'sharing': 'none', 'channel_split': False}, ['16nf', '2nb', 'w8', 'none', 'no channel_split']),
    (
        {'sharing': 'none', 'distillation': False, 'channel_split': False},
        ['16nf', '2nb', 'w8', 'none', 'no distillation', 'no channel_split'],
    ),
]


def small(**arguments: object) -> ASID:
    torch.manual_seed(0)
    return ASID(**{'num_feat': 16, 'num_block': 2} | arguments).eval()


def imdn(width: int = 64) -> dict[str, Tensor]:
    """IMDN's state dict at x2: six distilling blocks between two convolutions, one that fuses them, the upsampler."""
    near, coarse = width // 4, width - width // 4
    shapes = {'fea_conv': (width, 3, 3), 'c.0': (width, 6 * width, 1), 'LR_conv': (width, width, 3)}
    shapes['upsampler.0'] = (12, width, 3)
    for block in (f'IMDB{n}' for n in range(1, 7)):
        shapes |= {
            f'{block}.c1': (width, width, 3),
            f'{block}.c2': (width, coarse, 3),
            f'{block}.c3': (width, coarse, 3),
        }
        shapes |= {f'{block}.c4': (near, coarse, 3), f'{block}.c5': (width, width, 1)}
        shapes |= {f'{block}.cca.conv_du.0': (4, width, 1), f'{block}.cca.conv_du.2': (width, 4, 1)}
    weights = {f'{name}.weight': torch.zeros(out, inner, side, side) for name, (out, inner, side) in shapes.items()}
    return weights | {f'{name}.bias': torch.zeros(shape[0]) for name, shape in shapes.items()}


def detected(state_dict: dict[str, Tensor]) -> list[str]:
    return [support.architecture.id for support in MAIN_REGISTRY if support.detect(state_dict)]


@pytest.mark.slow
@pytest.mark.parametrize('layout', [dict, to_author_layout])
@pytest.mark.parametrize(('arguments', 'tags'), VARIANTS, ids=str)
def test_asid_is_found_by_its_keys_and_described(arguments: dict, tags: list[str], layout: type):
    net = small(**arguments)
    weights = layout(net.state_dict())
    assert detected(weights) == ['ASID']
    model = ModelLoader().load_from_state_dict(weights)
    assert isinstance(model, ImageModelDescriptor) and model.architecture.id == 'ASID'
    assert (model.scale, model.tags) == (arguments.get('upscale', 2), tags)
    assert model.purpose == ('Restoration' if model.scale == 1 else 'SR')
    assert model.input_channels == model.output_channels == arguments.get('num_in_ch', 3)
    assert model.size_requirements.none and model.supports_half and model.supports_bfloat16
    x = torch.rand(1, model.input_channels, 9, 17)  # smaller than ESA's pooling, and no multiple of the window
    with torch.no_grad():  # as the other does; with gradients, the last digits differ
        assert torch.equal(model(x), net(x).clamp(0, 1))


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('suffix', ['.pth', '.ckpt', '.safetensors'])
def test_any_file_gives_the_image_of_our_own_path(tmp_path: Path, layout: str, suffix: str):
    save_state_dict(small().state_dict(), tmp_path / f'net{suffix}', layout)
    model, x = ModelLoader().load_from_file(tmp_path / f'net{suffix}'), torch.rand(1, 3, 37, 52)
    assert torch.equal(model(x), load_asid(tmp_path / f'net{suffix}')(x).clamp(0, 1))


def test_averaged_weights_are_preferred_as_by_our_own_path(tmp_path: Path):
    plain, ema = small(), ASID(num_feat=16, num_block=2)
    torch.save({'params': plain.state_dict(), 'params_ema': ema.state_dict()}, tmp_path / 'net_g_5.pth')
    model = ModelLoader().load_from_file(tmp_path / 'net_g_5.pth')
    assert torch.equal(model.model.conv_first.weight, ema.conv_first.weight)


@pytest.mark.slow
def test_the_authors_file_gives_their_image(tmp_path: Path):
    golden = np.load(ROOT / 'tests/fixtures/asid_x2.npz')
    weights = {key[2:]: torch.from_numpy(golden[key]) for key in golden if key.startswith('w:')}
    junk = {
        'block0.total_ops': torch.zeros(1, dtype=torch.float64),
        'total_params': torch.zeros(1),
    }  # as thop leaves it
    torch.save(weights | junk, tmp_path / 'x2.pth')
    model = ModelLoader().load_from_file(tmp_path / 'x2.pth')
    assert model.tags == ['ASID', '48nf', '3nb', 'w8', 'inter']
    expected = torch.from_numpy(golden['y']).clamp(0, 1).float()
    torch.testing.assert_close(model(torch.from_numpy(golden['x']).float()), expected, atol=2e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float16, 3e-3), (torch.bfloat16, 2e-2)], ids=str)
def test_half_precision_is_near(dtype: torch.dtype, tolerance: float):
    x = torch.rand(1, 3, 24, 24)
    model = ModelLoader().load_from_state_dict(small(num_feat=48).state_dict())
    expected = model(x)
    half = model.to(dtype)(x.to(dtype))
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), expected, atol=tolerance, rtol=0)


@pytest.mark.filterwarnings('ignore:torch.meshgrid:UserWarning')
def test_others_are_left_to_others():
    omnisr = spandrel.architectures.OmniSR.OmniSR(num_feat=16, res_num=1, up_scale=2)
    swinir = spandrel.architectures.SwinIR.SwinIR(
        embed_dim=12, depths=[1, 1], num_heads=[2, 2], window_size=8, upscale=2, upsampler='pixelshuffledirect'
    )
    ours = OmniSR(num_feat=16, num_block=1, upscale=2)
    for weights, architecture in (
        (omnisr.state_dict(), 'OmniSR'),
        (to_released_layout(ours.state_dict()), 'OmniSR'),
        (swinir.state_dict(), 'SwinIR'),
    ):
        assert detected(weights) == [architecture]
        assert ModelLoader().load_from_state_dict(weights).architecture.id == architecture
    for weights in (imdn(), ours.state_dict(), OmniSR(num_feat=16, channel_split=0.5).state_dict()):
        assert detected(weights) == []
        with pytest.raises(UnsupportedModelError):
            ModelLoader().load_from_state_dict(weights)


def test_imdn_is_refused_by_our_own_path(tmp_path: Path):
    torch.save(imdn(), tmp_path / 'imdn.pth')
    with pytest.raises(CheckpointError, match='imdn.pth: not the weights of an ASID'):
        load_asid(tmp_path / 'imdn.pth')


def test_registration():
    assert asid_plugin.spandrel.install() == []
    assert MAIN_REGISTRY.architectures('detection')[0].architecture.id == 'ASID'
    own = ArchRegistry()
    assert [support.architecture.id for support in asid_plugin.spandrel.install(own)] == ['ASID']
    assert ModelLoader(registry=own).load_from_state_dict(small().state_dict()).scale == 2


def test_incomplete_weights_are_an_error():
    weights = small().state_dict()
    del weights['body.1.conv.weight']
    with pytest.raises(ValueError, match=r'^body\.1\.conv\.weight is missing$'):
        ModelLoader().load_from_state_dict(weights)


@pytest.mark.slow
def test_a_program_that_imports_spandrel_alone_knows_asid(tmp_path: Path):
    """As ComfyUI and chaiNNer do: no line of theirs names this package. The network is imported to load one only."""
    net = small()
    for layout in LAYOUTS:
        for suffix in ('.pth', '.safetensors'):
            save_state_dict(net.state_dict(), tmp_path / f'{layout}{suffix}', layout)
    code = """
import sys
from pathlib import Path
import spandrel
assert not [name for name in sys.modules if name.startswith(('asid_plugin.archs', 'basicsr', 'mmengine'))]
for file in sorted(Path().iterdir()):
    model = spandrel.ModelLoader().load_from_file(file)
    print(file.name, model.architecture.id, model.tags[-1])
"""
    done = fresh.run(['-c', code], tmp_path)
    files = sorted(f'{layout}{suffix}' for layout in LAYOUTS for suffix in ('.pth', '.safetensors'))
    assert done.stdout.splitlines() == [f'{file} ASID inter' for file in files], done.stderr


@pytest.mark.slow
def test_our_module_may_be_imported_first(tmp_path: Path):
    code = "import asid_plugin.spandrel, spandrel; print('ASID' in {s.architecture.id for s in spandrel.MAIN_REGISTRY})"
    done = subprocess.run([sys.executable, '-W', 'error::RuntimeWarning', '-c', code], text=True, capture_output=True)
    assert done.stdout == 'True\n', done.stderr


def refusal(path: Path) -> str:
    with pytest.raises(ValueError, match='.') as error:
        ModelLoader().load_from_file(path)
    return str(error.value)


@pytest.mark.slow
def test_files_from_strangers_are_refused(tmp_path: Path):
    path, net = tmp_path / 'a.pth', small().state_dict()
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/data.pkl', pickle.dumps({}, 2))
        archive.writestr('archive/data/0', bytes(50_000_000))
    assert 'when unpacked' in refusal(path)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', b'\x80\x02}r\xff\xff\xff\x7f.')
    assert 'a pickle with memo entry 2147483647 after 3 bytes' in refusal(path)
    torch.save({'params': to_author_layout(net)}, path)
    assert "mean neosr's ASID" in refusal(path)
    torch.save(net | {'conv_first.weight': torch.zeros(1).expand(50_000, 3, 3, 3)}, path)
    assert 'its tensors overlap' in refusal(path) or 'should have' in refusal(path)
    torch.save(net | {'conv_up.weight': torch.zeros(0, 16, 3, 3)}, path)
    assert 'conv_up.weight has the shape (0, 16, 3, 3)' in refusal(path)


def test_of_a_teacher_and_a_student_none_is_loaded(tmp_path: Path):
    both = {f'{name}.{key}': value for name in ('teacher', 'student') for key, value in small().state_dict().items()}
    torch.save(both, tmp_path / 'a.pth')
    assert 'several networks in it: teacher, student;' in refusal(tmp_path / 'a.pth')


def test_keys_that_are_no_text_are_of_no_asid():
    assert not asid_plugin.spandrel.ASIDArch().detect({1: torch.zeros(1), 'conv_first.weight': torch.zeros(1)})

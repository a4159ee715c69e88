"""Checkpoint files: what is read, what is refused, and the converter."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from asid_plugin.archs import ASID
from asid_plugin.archs.author_layout import to_author_layout
from asid_plugin.archs.state_dict import infer_arguments
from asid_plugin.checkpoint import CheckpointError, load_asid, read_state_dict
from asid_plugin.convert import main as convert

VARIANTS = [
    {},
    {'num_block': 1},
    {'upscale': 3, 'num_feat': 32, 'window_size': 4},
    {'upscale': 4, 'num_in_ch': 1, 'num_out_ch': 1},
    {'sharing': 'none'},
    {'sharing': 'intra', 'num_block': 1},
    {'sharing': 'none', 'distillation': False, 'channel_split': False},
    {'sharing': 'none', 'channel_split': False},
]


def small(**arguments: object) -> ASID:
    return ASID(**{'num_feat': 16, 'num_block': 2} | arguments).eval()


@pytest.mark.parametrize('variant', VARIANTS, ids=str)
def test_arguments_are_found_from_the_shapes(variant: dict):
    defaults = {'num_in_ch': 3, 'num_out_ch': 3, 'upscale': 2, 'window_size': 8, 'sharing': 'inter'}
    defaults |= {'num_feat': 16, 'num_block': 2, 'distillation': True, 'channel_split': True}
    net = small(**variant)
    assert infer_arguments(net.state_dict()) == defaults | variant
    assert infer_arguments(to_author_layout(net.state_dict())) == defaults | variant


@pytest.mark.parametrize('layout', ['authors', 'asid'])
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_conversion_there_and_back_changes_no_bit(tmp_path: Path, layout: str, suffix: str):
    net = small(upscale=3)
    torch.save({'params': net.state_dict()}, tmp_path / 'a.pth')
    convert([str(tmp_path / 'a.pth'), str(tmp_path / f'b{suffix}'), '--layout', layout])
    keys = read_state_dict(tmp_path / f'b{suffix}').keys()
    assert ('block0.res_end.weight' in keys) == (layout == 'authors')
    convert([str(tmp_path / f'b{suffix}'), str(tmp_path / 'c.pth')])
    back = torch.load(tmp_path / 'c.pth', weights_only=True)['params']
    assert back.keys() == net.state_dict().keys()
    assert all(torch.equal(back[key], value) for key, value in net.state_dict().items())


def test_ema_weights_are_preferred(tmp_path: Path):
    plain, ema = small(), small()
    torch.save({'params': plain.state_dict(), 'params_ema': ema.state_dict()}, tmp_path / 'net_g_5.pth')
    assert torch.equal(load_asid(tmp_path / 'net_g_5.pth').conv_first.weight, ema.conv_first.weight)


def test_parallel_and_half_precision_weights(tmp_path: Path):
    net = small().half()
    torch.save({f'module.{key}': value for key, value in net.state_dict().items()}, tmp_path / 'a.pth')
    loaded = load_asid(tmp_path / 'a.pth')
    assert loaded.conv_first.weight.dtype == torch.float32 and not loaded.training


class Payload:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path('harm'),)


def test_a_pickle_with_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    torch.save({'params': small().state_dict(), 'extra': Payload()}, 'a.pth')
    Path('b.pth').write_bytes(pickle.dumps(Payload(), protocol=2))
    for name in ('a.pth', 'b.pth'):
        with pytest.raises(CheckpointError, match=name):
            read_state_dict(name)
    with pytest.raises(CheckpointError, match='refused, it holds Python objects'):
        read_state_dict('a.pth')
    assert not Path('harm').exists()


def test_conversion_keeps_the_precision(tmp_path: Path):
    net = small().half()
    torch.save(net.state_dict(), tmp_path / 'a.pth')
    convert([str(tmp_path / 'a.pth'), str(tmp_path / 'b.safetensors'), '--layout', 'authors'])
    assert {value.dtype for value in load_file(tmp_path / 'b.safetensors').values()} == {torch.float16}


@pytest.mark.parametrize('name', ['out', 'out.onnx', '/proc/no/out.pth'])
def test_impossible_outputs_of_a_conversion(tmp_path: Path, name: str, capsys: pytest.CaptureFixture):
    torch.save(small().state_dict(), tmp_path / 'a.pth')
    with pytest.raises(SystemExit) as error:
        convert([str(tmp_path / 'a.pth'), name])
    assert error.value.code == 2 and 'error: ' in capsys.readouterr().err


def test_useless_files_are_named(tmp_path: Path):
    whole = tmp_path / 'whole.pth'
    torch.save(small().state_dict(), whole)
    content = whole.read_bytes()
    for name, data in {'cut.pth': content[: len(content) // 2], 'text.pth': b'hello', 'empty.pth': b''}.items():
        (tmp_path / name).write_bytes(data)
    torch.save([1, 2], tmp_path / 'list.pth')
    torch.save({'epoch': 3}, tmp_path / 'state.pth')
    torch.save({0: torch.zeros(1)}, tmp_path / 'numbers.pth')
    save_file({'weight': torch.zeros(1)}, tmp_path / 'other.safetensors')
    missing = {key: value for key, value in small().state_dict().items() if 'esa' not in key}
    torch.save(missing, tmp_path / 'missing.pth')
    names = [
        'cut.pth',
        'text.pth',
        'empty.pth',
        'list.pth',
        'state.pth',
        'numbers.pth',
        'other.safetensors',
        'missing.pth',
        'no.pth',
    ]
    for name in names:
        with pytest.raises(CheckpointError, match=name) as error:
            load_asid(tmp_path / name)
        assert '\n' not in str(error.value)


def test_a_failed_conversion_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / 'bad.pth').write_bytes(b'bad')
    with pytest.raises(SystemExit) as error:
        convert([str(tmp_path / 'bad.pth'), str(tmp_path / 'out.safetensors')])
    assert error.value.code == 2 and 'bad.pth' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['bad.pth']


def test_safetensors_hold_contiguous_weights_of_the_network(tmp_path: Path):
    net = small()
    torch.save(net.state_dict(), tmp_path / 'a.pth')
    convert([str(tmp_path / 'a.pth'), str(tmp_path / 'a.safetensors')])
    assert load_file(tmp_path / 'a.safetensors').keys() == net.state_dict().keys()

"""Checkpoint files: what is read, what is refused, and the converter."""

import json
import pickle
import re
import resource
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner, load_checkpoint
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from asid_plugin.archs import ASID, OmniSR
from asid_plugin.checkpoints import LAYOUTS, CheckpointError, load_asid, read_state_dict
from asid_plugin.layouts.author_layout import to_author_layout
from asid_plugin.layouts.parts import network_part
from asid_plugin.layouts.state_dict import infer_arguments
from helpers import Payload, command

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

convert = command('convert')


def small(**arguments: object) -> ASID:
    return ASID(**{'num_feat': 16, 'num_block': 2} | arguments).eval()


@pytest.mark.parametrize('variant', VARIANTS, ids=str)
def test_arguments_are_found_from_the_shapes(variant: dict):
    defaults = {'num_in_ch': 3, 'num_out_ch': 3, 'upscale': 2, 'window_size': 8, 'sharing': 'inter'}
    defaults |= {'num_feat': 16, 'num_block': 2, 'distillation': True, 'channel_split': True}
    defaults |= {'input_range': 'signed', 'position_bias': True, 'channel_scale': 'learned'}
    net = small(**variant)
    assert infer_arguments(net.state_dict()) == defaults | variant
    assert infer_arguments(to_author_layout(net.state_dict())) == defaults | variant


def bits(state_dict: dict[str, Tensor]) -> dict[str, tuple]:
    """All there is to a tensor, by its name."""
    return {
        key: (value.dtype, value.shape, value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        for key, value in state_dict.items()
    }


def authors_weights() -> dict[str, Tensor]:
    golden = np.load(Path(__file__).parents[1] / 'fixtures/asid_x2.npz')
    return {key[2:]: torch.from_numpy(golden[key]) for key in golden if key.startswith('w:')}


@pytest.mark.slow
@pytest.mark.parametrize(
    ('layout', 'dtype'),
    [*((layout, torch.float32) for layout in LAYOUTS), ('authors', torch.float16), ('authors', torch.bfloat16)],
    ids=str,
)
@pytest.mark.parametrize('suffix', ['.ckpt', '.safetensors'])
def test_conversion_there_and_back_changes_no_bit(tmp_path: Path, layout: str, suffix: str, dtype: torch.dtype):
    a, b, c, d = (str(tmp_path / name) for name in ('a.pth', f'b{suffix}', 'c.safetensors', 'd.pth'))
    net = small(upscale=3).to(dtype)
    torch.save({'params': net.state_dict()}, a)
    for arguments in ([a, b, '--layout', layout], [b, c], [c, d]):
        assert convert(arguments) == 0
    keys = (
        load_file(b).keys() if suffix == '.safetensors' else torch.load(b).get(LAYOUTS[layout].wrapper, torch.load(b))
    )
    first = {'authors': 'input.weight', 'mmengine': 'generator.conv_first.weight'}.get(layout, 'conv_first.weight')
    assert first in keys
    assert bits(load_file(c)) == bits(torch.load(d)['params']) == bits(net.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_the_authors_files_come_back_as_they_were(tmp_path: Path, layout: str, suffix: str):
    weights = authors_weights()
    torch.save(weights, tmp_path / 'a.pth')
    assert convert([str(tmp_path / 'a.pth'), str(tmp_path / f'b{suffix}'), '--layout', layout]) == 0
    assert convert([str(tmp_path / f'b{suffix}'), str(tmp_path / 'c.pth'), '--layout', 'authors']) == 0
    assert bits(torch.load(tmp_path / 'c.pth')) == bits(weights)


def test_a_safetensors_says_the_networks_arguments(tmp_path: Path):
    torch.save(small(upscale=3, sharing='none').state_dict(), tmp_path / 'a.pth')
    assert convert([str(tmp_path / 'a.pth'), str(tmp_path / 'a.safetensors'), '--layout', 'authors']) == 0
    with safe_open(tmp_path / 'a.safetensors', 'pt') as file:
        network_g = json.loads(file.metadata()['network_g'])
    assert network_g.pop('type') == 'ASID'
    assert ASID(**network_g).state_dict().keys() == small(upscale=3, sharing='none').state_dict().keys()
    assert (network_g['upscale'], network_g['sharing']) == (3, 'none')
    assert (tmp_path / 'a.safetensors').stat().st_mode == (tmp_path / 'a.pth').stat().st_mode


class Model(BaseModel):
    """A model of MMEngine with ASID as mmagic names it."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = small(num_block=1)

    def forward(self, inputs: Tensor, mode: str = 'tensor') -> Tensor | dict[str, Tensor]:
        output = self.generator(inputs)
        return {'loss': output.mean()} if mode == 'loss' else output


@pytest.fixture(scope='module')
def mmengines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of MMEngine's runner after two iterations with averaged weights."""
    folder = tmp_path_factory.mktemp('mmengine')
    runner = Runner(
        Model(),
        str(folder),
        train_dataloader={
            'dataset': [{'inputs': torch.rand(3, 16, 16)}] * 2,
            'sampler': {'type': 'InfiniteSampler'},
            'collate_fn': {'type': 'default_collate'},
        },
        train_cfg={'by_epoch': False, 'max_iters': 2},
        optim_wrapper={'optimizer': {'type': 'AdamW', 'lr': 1e-3}},
        default_hooks={'checkpoint': {'type': 'CheckpointHook', 'interval': 2, 'by_epoch': False}},
        custom_hooks=[{'type': 'EMAHook', 'momentum': 0.5}],
        log_level='ERROR',
    )
    runner.train()
    return folder / 'iter_2.pth'


def test_mmengines_checkpoints_are_read(tmp_path: Path, mmengines: Path):
    saved = torch.load(mmengines, weights_only=False)
    assert any(isinstance(value, HistoryBuffer) for value in saved['message_hub']['log_scalars'].values())
    averaged = {key.removeprefix('generator.'): value for key, value in saved['state_dict'].items()}
    last = saved['ema_state_dict']['module.generator.conv_first.weight']
    assert not torch.equal(averaged['conv_first.weight'], last)
    (tmp_path / 'iter_2.ckpt').write_bytes(mmengines.read_bytes())
    for path in (mmengines, tmp_path / 'iter_2.ckpt'):
        assert bits(load_asid(path).state_dict()) == bits(averaged)


def test_what_the_program_allows_by_itself_does_not_matter_and_stays_allowed(mmengines: Path):
    before = torch.serialization.get_safe_globals()
    with torch.serialization.safe_globals([HistoryBuffer, (print, 'builtins.getattr'), np.ndarray, np.dtype]):
        allowed = set(torch.serialization.get_safe_globals())
        assert len(load_asid(mmengines).body) == 1
        assert set(torch.serialization.get_safe_globals()) == allowed
    torch.serialization.add_safe_globals(before)  # the block has taken away what was allowed before it, too


def test_mmengines_checkpoints_with_numpy_1_are_read(tmp_path: Path, mmengines: Path):
    """NumPy 1 has its private functions elsewhere; the file is rewritten accordingly."""
    with zipfile.ZipFile(mmengines) as old, zipfile.ZipFile(tmp_path / 'old.pth', 'w') as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith('data.pkl'):
                assert b'numpy._core.multiarray' in content
                content = content.replace(b'numpy._core.multiarray', b'numpy.core.multiarray')
            new.writestr(name, content)
    assert bits(read_state_dict(tmp_path / 'old.pth')) == bits(read_state_dict(mmengines))


def test_mmengine_reads_what_is_converted_to_its_layout(tmp_path: Path, mmengines: Path):
    assert convert([str(mmengines), str(tmp_path / 'a.safetensors')]) == 0
    assert convert([str(tmp_path / 'a.safetensors'), str(tmp_path / 'b.pth'), '--layout', 'mmengine']) == 0
    model = Model()
    load_checkpoint(model, str(tmp_path / 'b.pth'), strict=True)
    assert bits(model.generator.state_dict()) == bits(load_file(tmp_path / 'a.safetensors'))


def test_the_network_in_a_model_is_found_whatever_its_name():
    net, other = small().state_dict(), {'discriminator.conv_first.weight': torch.zeros(1)}
    omnisr = OmniSR(num_feat=16, num_block=1).state_dict()
    for prefix in ('generator.', 'module.generator.', 'backbone.net.'):
        for weights in (net, to_author_layout(net), omnisr):
            assert network_part({prefix + key: value for key, value in weights.items()} | other) == weights
    averaged = {f'generator_ema.{key}': value + 1 for key, value in net.items()}
    both = averaged | {f'generator.{key}': value for key, value in net.items()}
    assert bits(network_part(both)) == bits({key: value + 1 for key, value in net.items()})
    assert network_part(other) == other and network_part(net) == net


def test_ema_weights_are_preferred(tmp_path: Path):
    plain, ema = small(), small()
    torch.save({'params': plain.state_dict(), 'params_ema': ema.state_dict()}, tmp_path / 'net_g_5.pth')
    assert torch.equal(load_asid(tmp_path / 'net_g_5.pth').conv_first.weight, ema.conv_first.weight)


@pytest.mark.slow
def test_parallel_and_half_precision_weights(tmp_path: Path):
    net = small().half()
    torch.save({f'module.{key}': value for key, value in net.state_dict().items()}, tmp_path / 'a.pth')
    loaded = load_asid(tmp_path / 'a.pth')
    assert loaded.conv_first.weight.dtype == torch.float32 and not loaded.training


def test_the_averages_of_torch_are_read(tmp_path: Path):
    net = small()
    torch.save(torch.optim.swa_utils.AveragedModel(net).state_dict(), tmp_path / 'a.pth')
    assert bits(load_asid(tmp_path / 'a.pth').state_dict()) == bits(net.state_dict())


def test_compiled_networks_of_others_are_read(tmp_path: Path):
    net = torch.nn.Linear(2, 2)
    torch.save({f'module.{key}': value for key, value in torch.compile(net).state_dict().items()}, tmp_path / 'a.pth')
    assert bits(read_state_dict(tmp_path / 'a.pth')) == bits(net.state_dict())


def test_a_pickle_with_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    torch.save({'params': small().state_dict(), 'extra': Payload()}, 'a.pth')
    Path('b.pth').write_bytes(pickle.dumps(Payload(), protocol=2))
    for name in ('a.pth', 'b.pth'):
        with pytest.raises(CheckpointError, match=name):
            read_state_dict(name)
    with pytest.raises(CheckpointError, match='refused: it holds Python objects'):
        read_state_dict('a.pth')
    assert not Path('harm').exists()


class Call:
    """Calls a function that a pickle can only get at through getattr, which MMEngine's log needs."""

    def __reduce__(self) -> tuple:
        return HistoryBuffer.register_statistics, (Path.touch,)


def test_what_mmengine_pickles_is_not_called(tmp_path: Path):
    torch.save({'state_dict': small().state_dict(), 'message_hub': Call()}, tmp_path / 'a.ckpt')
    with zipfile.ZipFile(tmp_path / 'a.ckpt') as archive:
        assert b'getattr' in archive.read('a/data.pkl')
    allowed = set(torch.serialization.get_safe_globals())
    with pytest.raises(CheckpointError, match='a.ckpt'):
        read_state_dict(tmp_path / 'a.ckpt')
    assert 'touch' not in HistoryBuffer._statistics_methods
    assert set(torch.serialization.get_safe_globals()) == allowed


def complaint(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """The line of a conversion that fails."""
    assert convert([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == '' and err.startswith('error: ') and err.count('\n') == 1
    return err


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('out', 'out: its name must end in .pth, .ckpt or .safetensors'),
        ('out.onnx', 'out.onnx: its name must end in .pth, .ckpt or .safetensors'),
        ('/proc/no/out.pth', '/proc/no/out.pth: No such file or directory'),
        ('folder.pth', 'folder.pth: Is a directory'),
        ('folder.safetensors', 'folder.safetensors: Is a directory'),
    ],
)
def test_impossible_outputs_of_a_conversion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, name: str, message: str
):
    monkeypatch.chdir(tmp_path)
    for folder in ('folder.pth', 'folder.safetensors'):
        Path(folder).mkdir()
    torch.save(small().state_dict(), 'a.pth')
    assert message in complaint(capsys, 'a.pth', name)
    assert sorted(path.name for path in Path().rglob('*')) == ['a.pth', 'folder.pth', 'folder.safetensors']


def test_the_input_of_a_conversion_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture):
    torch.save(small().state_dict(), tmp_path / 'a.pth')
    (tmp_path / 'b.ckpt').symlink_to(tmp_path / 'a.pth')
    before = (tmp_path / 'a.pth').read_bytes()
    for name in ('a.pth', 'b.ckpt'):
        assert f'{name} is the input' in complaint(capsys, tmp_path / 'a.pth', tmp_path / name)
    assert (tmp_path / 'a.pth').read_bytes() == before


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 1000 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture):
    torch.save(small().state_dict(), tmp_path / 'a.pth')
    (tmp_path / f'b{suffix}').write_text('old')
    with full_disk():
        message = complaint(capsys, tmp_path / 'a.pth', tmp_path / f'b{suffix}')
    assert re.search(rf'b{suffix}: (cannot be written|File too large)', message)
    assert (tmp_path / f'b{suffix}').read_text() == 'old' and len(list(tmp_path.iterdir())) == 2


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
    assert 'bad.pth' in complaint(capsys, tmp_path / 'bad.pth', tmp_path / 'out.safetensors')
    assert [path.name for path in tmp_path.iterdir()] == ['bad.pth']

"""`asid export`: every format agrees with PyTorch at any size, and says what it is."""

import hashlib
import json
import os
import shlex
import sys
import zipfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import safetensors.torch
import torch

from asid_plugin import __version__, export
from asid_plugin.archs import ASID
from asid_plugin.checkpoints import CheckpointError, load_asid, save_state_dict
from asid_plugin.commands import export as export_command
from asid_plugin.commands.main import module_parser
from asid_plugin.export import write
from asid_plugin.inference import runtimes
from asid_plugin.inference.tiling import Windows, tiled
from asid_plugin.layouts.author_layout import from_author_layout
from asid_plugin.layouts.state_dict import infer_arguments
from helpers import command

for package in ('onnx', 'onnxruntime', 'onnxscript', 'openvino'):
    pytest.importorskip(package)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.__version__ < torch.torch_version.TorchVersion('2.9'), reason='exporting needs torch 2.9'),
]

import onnx  # noqa: E402

TRACED = (21, 34)
SIZES = ((1, 1, 1), (3, 7, 9), (1, 16, 16), (1, 33, 64), (2, 65, 17))
SMALL = {'num_feat': 16, 'num_block': 1, 'upscale': 3, 'sharing': 'none'}
SMALL |= {'distillation': False, 'channel_split': False}  # one unit: exported in a third of the time


def checkpoint(folder, **arguments):
    torch.manual_seed(0)
    net = ASID(**arguments).eval()
    torch.save({'params': net.state_dict()}, folder / 'asid.pth')
    return net


def difference(run, net):
    """The largest, over `SIZES`."""
    largest = []
    with torch.inference_mode():
        for batch, height, width in SIZES:
            x = torch.rand(batch, 3, height, width)
            want, got = net(x), run(x)
            assert got.dtype == torch.float32 and got.shape == want.shape
            largest.append((got - want).abs().max().item())
    return max(largest)


def names_this_machine(path):
    """Whether a file holds a path of this package's sources, as stack traces do."""
    with zipfile.ZipFile(path) if path.suffix == '.pt2' else nullcontext() as archive:
        content = b''.join(map(archive.read, archive.namelist())) if archive else path.read_bytes()
    return str(Path(export.__file__).parents[1]).encode() in content


@pytest.fixture(scope='module')
def shared(tmp_path_factory):
    """ASID with two blocks, which share matrices, and its ONNX file, made by the command: (net, folder)."""
    folder = tmp_path_factory.mktemp('export')
    net = checkpoint(folder, num_feat=16, num_block=2, upscale=2)
    assert command('export')([str(folder / 'asid.pth'), str(folder / 'asid.onnx')]) == 0
    return net, folder


def test_onnx_agrees_at_sizes_that_were_not_traced(shared):
    net, folder = shared
    assert TRACED not in [size[1:] for size in SIZES]
    assert difference(runtimes.load_onnx(folder / 'asid.onnx').run, net) < 1e-5


def test_onnx_says_what_it_is(shared):
    net, folder = shared
    model = onnx.load(folder / 'asid.onnx')
    onnx.checker.check_model(model, full_check=True)
    assert not names_this_machine(folder / 'asid.onnx')
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [('', export.OPSET)]
    (lq,), (sr,) = model.graph.input, model.graph.output
    dims = [[d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] for value in (lq, sr)]
    assert (lq.name, sr.name) == ('lq', 'sr') and dims[0] == ['batch', 3, 'height', 'width'] and dims[1][1] == 3

    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata.pop('arguments')) == infer_arguments(net.state_dict())
    save_state_dict(net.state_dict(), folder / 'authors.pth', 'authors')
    weights = from_author_layout(torch.load(folder / 'authors.pth'))
    digest = hashlib.sha256(safetensors.torch.save(weights)).hexdigest()
    assert metadata == {'asid_plugin': __version__, 'upscale': '2', 'weights_sha256': digest}


def test_one_by_one_convolutions_are_matrix_products(shared):
    """As convolutions, each would stand between two transposes."""
    _, folder = shared
    kernels = {len(x.dims) for x in onnx.load(folder / 'asid.onnx').graph.initializer if list(x.dims[2:]) == [1, 1]}
    assert kernels == set()


@pytest.mark.parametrize(('name', 'half'), [('asid.onnx', True), ('asid.pt2', False), ('asid.xml', False)])
def test_other_formats_and_half_precision(tmp_path, capsys, name, half):
    net = checkpoint(tmp_path, **SMALL)
    assert command('export')([str(tmp_path / 'asid.pth'), str(tmp_path / name), *(['--half'] if half else [])]) == 0
    assert f'{"float16" if half else "float32"}, any batch' in capsys.readouterr().out
    companions = {'asid.bin'} if name.endswith('.xml') else set()
    assert set(os.listdir(tmp_path)) == {'asid.pth', name, *companions}
    form = next(form for form in export.EXPORT_FORMATS.values() if name.endswith(form.suffix))
    network = form.load(tmp_path / name)
    assert (network.upscale, network.num_in_ch) == (3, 3)
    # of one unit, the weights do not tell whether others would share
    assert network.metadata == write.describe(load_asid(tmp_path / 'asid.pth'))
    assert not names_this_machine(tmp_path / name)
    worst = difference(network.run, net)
    assert 1e-5 < worst < 5e-3 if half else worst < 1e-5, 'half precision is seen, and is no more than that'


def upscale_file(folder, *argv):
    image = np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8)
    PIL.Image.fromarray(image).save(folder / 'in.png')
    return command('upscale')([str(folder / 'in.png'), '-o', str(folder / 'out.png'), *map(str, argv)])


def test_upscale_by_onnxruntime_is_upscale_by_pytorch(shared):
    net, folder = shared
    argv = ['--tile', 16, '--tile-overlap', 5]
    assert upscale_file(folder, *argv, '--backend', 'onnxruntime', '--weights', folder / 'asid.onnx', '--scale', 2) == 0
    lq = torch.from_numpy(np.asarray(PIL.Image.open(folder / 'in.png')) / np.float32(255)).permute(2, 0, 1)[None]
    with torch.no_grad():
        want = tiled(net, lq, 2, 16, 5, feather=True, windows=Windows(8))[0].permute(1, 2, 0).clamp(0, 1) * 255
    got = np.asarray(PIL.Image.open(folder / 'out.png'))
    assert np.abs(got - want.numpy()).max() < 0.5 + 0.01  # rounded


def test_the_readme_runs(shared, monkeypatch):
    """Its export, whose file the fixture has made, and its upscaling with that."""
    _, folder = shared
    readme = Path(__file__).parents[2] / 'README.md'
    lines = [
        shlex.split(line, comments=True)[1:]
        for line in readme.read_text(encoding='utf-8').splitlines()
        if 'onnx' in line and line.startswith('    asid ')
    ]
    (_, *to_export), (_, *to_upscale) = lines
    args = module_parser('export', export_command).parse_args(to_export)
    monkeypatch.chdir(folder)
    (folder / args.output).write_bytes((folder / 'asid.onnx').read_bytes())
    PIL.Image.new('RGB', (20, 20)).save(to_upscale[0])
    assert command('upscale')(to_upscale) == 0
    assert PIL.Image.open(to_upscale[2]).size == (40, 40)


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (
            ['--weights', 'asid.pth', '--backend', 'onnxruntime'],
            'asid.pth: --backend onnxruntime needs an .onnx file; ',
        ),
        (['--weights', 'asid.onnx'], 'asid.onnx: an .onnx file needs --backend onnxruntime'),
        (
            ['--weights', 'asid.onnx', '--backend', 'onnxruntime', '--half'],
            '--half: an .onnx file is in half precision',
        ),
        (
            ['--weights', 'asid.onnx', '--backend', 'onnxruntime', '--scale', '4'],
            '--scale 4: asid.onnx holds a network',
        ),
        (['--weights', 'asid.onnx', '--backend', 'onnxruntime', '--device', 'cuda'], '--device cuda: ONNX Runtime'),
        (['--weights', 'none.onnx', '--backend', 'onnxruntime'], 'none.onnx: no such file'),
        (['--weights', 'damaged.onnx', '--backend', 'onnxruntime'], 'damaged.onnx: damaged, or not of its format'),
        (['--weights', 'foreign.onnx', '--backend', 'onnxruntime'], 'foreign.onnx: not exported by asid export'),
    ],
)
def test_upscale_says_what_is_wrong(shared, monkeypatch, capsys, argv, message):
    _, folder = shared
    monkeypatch.chdir(folder)
    (folder / 'damaged.onnx').write_bytes((folder / 'asid.onnx').read_bytes()[:9000])
    foreign = onnx.load(folder / 'asid.onnx')
    del foreign.metadata_props[:]
    onnx.save(foreign, folder / 'foreign.onnx')
    (folder / 'out.png').unlink(missing_ok=True)
    assert upscale_file(folder, *argv) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1 and err[0].startswith(f'error: {message}')
    assert not (folder / 'out.png').exists()


def test_onnx_runtime_that_cannot_start_cuda_does_not_go_on_by_the_cpu(shared, monkeypatch):
    _, folder = shared
    providers = ['CUDAExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr('onnxruntime.get_available_providers', lambda: providers)  # as if it were built with CUDA
    assert runtimes.load_onnx(folder / 'asid.onnx', 'auto').upscale
    with pytest.raises(runtimes.BackendError, match=r'^--device cuda: ONNX Runtime .* cannot start it here$'):
        runtimes.load_onnx(folder / 'asid.onnx', 'cuda')


@pytest.mark.parametrize('package', ['onnxscript', 'onnxruntime', 'openvino'])
def test_a_missing_package_is_named_and_nothing_is_written(tmp_path, monkeypatch, capsys, package):
    checkpoint(tmp_path, **SMALL)
    monkeypatch.setitem(sys.modules, package, None)
    target = tmp_path / ('a.xml' if package == 'openvino' else 'a.onnx')
    monkeypatch.setattr(export, 'export_any_size', lambda *_: pytest.fail('traced before the packages were looked for'))
    assert command('export')([str(tmp_path / 'asid.pth'), str(target)]) == 2
    assert capsys.readouterr().err == f"error: {package} is not installed: pip install 'asid-plugin[export]'\n"
    assert os.listdir(tmp_path) == ['asid.pth']


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['asid.pth', 'a.pb'], 'a.pb: its name must end in .onnx, .pt2, .xml'),
        (['asid.pth', 'a.onnx', '--format', 'openvino'], 'a.onnx: its name must end in .xml'),
        (['none.pth', 'a.onnx'], 'none.pth: no such file'),
    ],
)
def test_export_says_what_is_wrong(shared, monkeypatch, capsys, argv, message):
    monkeypatch.chdir(shared[1])
    assert command('export')(argv) == 2
    assert capsys.readouterr().err == f'error: {message}\n'


def test_what_disagrees_is_not_written(tmp_path, monkeypatch, capsys):
    net = checkpoint(tmp_path, **SMALL)
    monkeypatch.setattr(write, 'TOLERANCE', 0.0)
    assert command('export')([str(tmp_path / 'asid.pth'), str(tmp_path / 'a.pt2')]) == 2
    assert 'a.pt2: not written, it differs from PyTorch by' in capsys.readouterr().err
    assert os.listdir(tmp_path) == ['asid.pth'] and net.training is False


@pytest.mark.parametrize('load', [runtimes.load_torch_export, runtimes.load_openvino])
def test_damaged_files(tmp_path, load):
    (tmp_path / 'a.bin').write_bytes(b'no')
    with pytest.raises(CheckpointError, match='a.bin: damaged, or not of its format'):
        load(tmp_path / 'a.bin')


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('arguments', '{', 'its metadata have no arguments of an ASID in JSON'),
        ('arguments', '[' * 100_000, 'its metadata have no arguments of an ASID in JSON'),
        ('arguments', '{"upscale": 2}', "in JSON ('num_in_ch')"),
        ('arguments', '[1]', 'its metadata have no arguments of an ASID in JSON'),
        ('upscale', '3', 'its metadata disagree: upscale 3, but arguments with upscale 2'),
        ('upscale', 2, 'its metadata lack upscale'),
    ],
)
def test_metadata_must_be_json_and_agree(key, value, message):
    metadata = write.describe(ASID(**SMALL | {'upscale': 2}))
    assert runtimes._checked(metadata, 'a.onnx')['upscale'] == 2
    with pytest.raises(CheckpointError) as error:
        runtimes._checked(metadata | {key: value}, 'a.onnx')
    assert str(error.value).startswith('a.onnx: ') and message in str(error.value)


def test_a_network_must_make_what_its_metadata_promise():
    arguments = {'upscale': 2, 'num_in_ch': 3, 'num_out_ch': 3}
    with pytest.raises(CheckpointError, match=r'num_in_ch 3, but the shape is \(1, 4, None, None\)'):
        runtimes._check_channels('a.onnx', arguments, (1, 4, None, None), (1, 3, None, None))
    run = runtimes._sized(lambda x: x, arguments, 'a.onnx')
    with pytest.raises(CheckpointError, match=r'promise an image of \(1, 3, 8, 8\), but it made \(1, 3, 4, 4\)'):
        run(torch.zeros(1, 3, 4, 4))

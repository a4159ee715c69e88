"""`asid export`: every format agrees with PyTorch at any size, and says what it is."""

import copy
import hashlib
import json
import os
import shlex
import shutil
import sys
import zipfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

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
from asid_plugin.export import check, subject, write
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
import onnxruntime  # noqa: E402

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
def shared(exported, tmp_path_factory):
    """The files of `exported`, in a folder to write to."""
    folder = tmp_path_factory.mktemp('export')
    for name in ('asid.pth', 'asid.onnx'):
        shutil.copy(exported.folder / name, folder)
    return SimpleNamespace(net=exported.net, folder=folder, program=exported.program)


@pytest.fixture
def reused(shared, monkeypatch):
    """Let exports of the same network take its trace and its ONNX file."""
    if shared.program:
        monkeypatch.setattr(subject, 'export_any_size', lambda *_: shared.program)
    copy = lambda _, path: shutil.copy(shared.folder / 'asid.onnx', path)  # noqa: E731
    monkeypatch.setattr(write, 'write_onnx', copy)
    monkeypatch.setitem(export.EXPORT_FORMATS, 'onnx', replace(export.EXPORT_FORMATS['onnx'], write=copy))
    return shared


def test_onnx_agrees_at_sizes_that_were_not_traced(shared):
    net, folder = shared.net, shared.folder
    assert TRACED not in [size[1:] for size in SIZES]
    assert difference(runtimes.load_onnx(folder / 'asid.onnx').run, net) < 1e-5


def test_onnx_says_what_it_is(shared):
    net, folder = shared.net, shared.folder
    model = onnx.load(folder / 'asid.onnx')
    onnx.checker.check_model(model, full_check=True)
    assert not names_this_machine(folder / 'asid.onnx')
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [('', export.OPSET)]
    (lq,), (sr,) = model.graph.input, model.graph.output
    assert (lq.name, dims(lq)) == ('input', ['batch', 3, 'height', 'width'])
    assert (sr.name, dims(sr)[1]) == ('output', 3)

    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata.pop('arguments')) == infer_arguments(net.state_dict())
    save_state_dict(net.state_dict(), folder / 'authors.pth', 'authors')
    weights = from_author_layout(torch.load(folder / 'authors.pth'))
    digest = hashlib.sha256(safetensors.torch.save(weights)).hexdigest()
    assert metadata == {'asid_plugin': __version__, 'upscale': '2', 'weights_sha256': digest}


def test_one_by_one_convolutions_are_matrix_products(shared):
    """As convolutions, each would stand between two transposes."""
    folder = shared.folder
    kernels = {len(x.dims) for x in onnx.load(folder / 'asid.onnx').graph.initializer if list(x.dims[2:]) == [1, 1]}
    assert kernels == set()


@pytest.mark.parametrize('name', ['asid.pt2', 'asid.xml'])
def test_other_formats(reused, tmp_path, capsys, monkeypatch, name):
    opened = []
    key, form = next((key, form) for key, form in export.EXPORT_FORMATS.items() if name.endswith(form.suffix))
    once = replace(form, load=lambda path: opened.append(form.load(path)) or opened[0])  # a .pt2 opens for seconds
    monkeypatch.setitem(export.EXPORT_FORMATS, key, once)
    assert command('export')([reused.folder / 'asid.pth', tmp_path / name]) == 0
    assert 'x2, float32, any batch' in capsys.readouterr().out
    assert set(os.listdir(tmp_path)) == {name} | ({'asid.bin'} if name == 'asid.xml' else set())
    (network,) = opened
    assert says_what_it_is(network, reused.folder / 'asid.pth') and not names_this_machine(tmp_path / name)
    assert difference(network.run, reused.net) < 1e-5


def test_half_precision(tmp_path, capsys):
    net = checkpoint(tmp_path, **SMALL)
    assert command('export')([tmp_path / 'asid.pth', tmp_path / 'asid.onnx', '--half']) == 0
    assert 'x3, float16, any batch' in capsys.readouterr().out
    assert set(os.listdir(tmp_path)) == {'asid.pth', 'asid.onnx'}
    # of one unit, the weights do not tell whether others would share
    network = load(tmp_path / 'asid.onnx')
    assert says_what_it_is(network, tmp_path / 'asid.pth') and not names_this_machine(tmp_path / 'asid.onnx')
    worst = difference(network.run, net)
    assert 1e-5 < worst < 5e-3, 'half precision is seen, and is no more than that'


def load(path):
    return next(form for form in export.EXPORT_FORMATS.values() if path.suffix == form.suffix).load(path)


def says_what_it_is(network, weights):
    net = load_asid(weights)
    return (network.upscale, network.num_in_ch, network.metadata) == (net.upscale, 3, write.describe(net))


def dims(value):
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_a_fixed_size_and_opset_and_neosrs_arguments(tmp_path, capsys):
    """Channels, size and scale as chaiNNer reads them, from shapes that onnx infers strictly."""
    neosr = {'input_range': 'unit', 'position_bias': False, 'channel_scale': 'fixed'}
    net = checkpoint(tmp_path, **SMALL, **neosr)
    argv = [tmp_path / 'asid.pth', tmp_path / 'asid.onnx', '--size', '21x16', '--opset', 18]
    assert command('export')(argv) == 0
    assert 'x3, float32, one image of 21x16, ONNX opset 18; within' in capsys.readouterr().out
    model = onnx.load(tmp_path / 'asid.onnx')
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [('', 18)]
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    assert (dims(inferred.input[0]), dims(inferred.output[0])) == ([1, 3, 16, 21], [1, 3, 48, 63])
    assert not {'Shape', 'If', 'Loop'} & {node.op_type for node in inferred.node}

    network = load(tmp_path / 'asid.onnx')
    assert network.arguments.items() >= neosr.items()
    x = torch.rand(1, 3, 16, 21)
    with torch.inference_mode():
        assert (network.run(x) - net(x)).abs().max() < 1e-5
    with pytest.raises(CheckpointError, match='exported for 1 image of 21x16, not for 2 of 16x21; exp'):
        network.run(x.new_zeros(2, 3, 21, 16))


def test_a_size_for_one_tile_is_found_by_onnxruntime(shared):
    """As vs-mlrt does it: batch 1 and the tile's size go into the input, and the runtime tells the output's."""
    model = onnx.load(shared.folder / 'asid.onnx')
    for value, sizes in ((model.graph.input[0], (1, 3, 40, 48)), (model.graph.output[0], (1,))):
        for dim, size in zip(value.type.tensor_type.shape.dim, sizes, strict=False):
            dim.dim_value = size
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model).SerializeToString()
    assert onnxruntime.InferenceSession(inferred).get_outputs()[0].shape == [1, 3, 80, 96]


def upscale_file(folder, *argv):
    image = np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8)
    PIL.Image.fromarray(image).save(folder / 'in.png')
    return command('upscale')([str(folder / 'in.png'), '-o', str(folder / 'out.png'), *map(str, argv)])


def test_upscale_by_onnxruntime_is_upscale_by_pytorch(shared):
    net, folder = shared.net, shared.folder
    argv = ['--tile', 16, '--tile-overlap', 5]
    assert upscale_file(folder, *argv, '--backend', 'onnxruntime', '--weights', folder / 'asid.onnx', '--scale', 2) == 0
    lq = torch.from_numpy(np.asarray(PIL.Image.open(folder / 'in.png')) / np.float32(255)).permute(2, 0, 1)[None]
    with torch.no_grad():
        want = tiled(net, lq, 2, 16, 5, feather=True, windows=Windows(8))[0].permute(1, 2, 0).clamp(0, 1) * 255
    got = np.asarray(PIL.Image.open(folder / 'out.png'))
    assert np.abs(got - want.numpy()).max() < 0.5 + 0.01  # rounded


def test_the_page_runs(shared, monkeypatch):
    """Its export, whose file the fixture has made, and its upscaling with that."""
    folder = shared.folder
    page = Path(__file__).parents[2] / 'docs' / 'export.md'
    lines = [
        shlex.split(line, comments=True)[1:]
        for line in page.read_text(encoding='utf-8').splitlines()
        if 'onnx' in line and line.startswith('    asid ')
    ]
    (_, *to_export), (_, *to_upscale) = lines
    args = module_parser('export', export_command).parse_args(to_export)
    monkeypatch.chdir(folder)
    (folder / args.place).write_bytes((folder / 'asid.onnx').read_bytes())
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
        (['--weights', 'asid.onnx', '--backend', 'onnxruntime', '--device', 'cuda'], '--device cuda: this ONNX'),
        (['--weights', 'none.onnx', '--backend', 'onnxruntime'], 'none.onnx: no such file'),
        (
            ['--weights', 'damaged.onnx', '--backend', 'onnxruntime'],
            'damaged.onnx: damaged, or not in the format of its suffix',
        ),
        (['--weights', 'foreign.onnx', '--backend', 'onnxruntime'], 'foreign.onnx: not exported by asid export'),
    ],
)
def test_upscale_says_what_is_wrong(shared, monkeypatch, capsys, argv, message):
    folder = shared.folder
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
    folder = shared.folder
    providers = ['CUDAExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr('onnxruntime.get_available_providers', lambda: providers)  # as if it were built with CUDA
    assert runtimes.load_onnx(folder / 'asid.onnx', 'auto').upscale
    with pytest.raises(runtimes.BackendError, match=r'^--device cuda: ONNX Runtime .* cannot start CUDA here$'):
        runtimes.load_onnx(folder / 'asid.onnx', 'cuda')


@pytest.mark.parametrize('package', ['onnxscript', 'onnxruntime', 'openvino'])
def test_a_missing_package_is_named_and_nothing_is_written(tmp_path, monkeypatch, capsys, package):
    checkpoint(tmp_path, **SMALL)
    monkeypatch.setitem(sys.modules, package, None)
    target = tmp_path / ('a.xml' if package == 'openvino' else 'a.onnx')
    monkeypatch.setattr(
        subject, 'export_any_size', lambda *_: pytest.fail('traced before the packages were looked for')
    )
    assert command('export')([str(tmp_path / 'asid.pth'), str(target)]) == 2
    assert (
        capsys.readouterr().err
        == f"error: {package} is not installed: pip install '.[export]' in a checkout of asid_plugin\n"
    )
    assert os.listdir(tmp_path) == ['asid.pth']


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['asid.pth', 'a.pb'], 'a.pb: its name must end in .onnx, .pt2, .xml, .param, .mlpackage'),
        (['asid.pth', 'a.onnx', '--format', 'openvino'], 'a.onnx: its name must end in .xml'),
        (['none.pth', 'a.onnx'], 'none.pth: no such file'),
        (['asid.pth', 'a.onnx', '--opset', '17'], 'opset 17: must be 18 to 23'),
        (['asid.pth', 'a.onnx', '--opset', '24'], 'opset 24: must be 18 to 23'),
        (['asid.pth', 'a.pt2', '--opset', '20'], 'opset 20: the format torch-export has no opsets'),
        (['asid.pth', 'a.onnx', '--size', '0x64'], 'size 0x64: each side must be 1 to 8192 pixels'),
        (['asid.pth', 'a.onnx', '--size', '64x8193'], 'size 64x8193: each side must be 1 to 8192 pixels'),
    ],
)
def test_export_says_what_is_wrong(shared, monkeypatch, capsys, argv, message):
    monkeypatch.chdir(shared.folder)
    assert command('export')(argv) == 2
    assert capsys.readouterr().err == f'error: {message}\n'


@pytest.mark.parametrize('size', ['64', '64x', '64X64', '-1x64', '64x64x3'])
def test_a_size_is_width_x_height(shared, capsys, size):
    with pytest.raises(SystemExit):
        command('export')([shared.folder / 'asid.pth', 'a.onnx', f'--size={size}'])
    assert f'{size!r} is not WIDTHxHEIGHT in pixels, such as 64x64' in capsys.readouterr().err


def test_what_disagrees_is_not_written(reused, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check, 'TOLERANCE', 0.0)
    assert command('export')([reused.folder / 'asid.pth', tmp_path / 'a.onnx']) == 2
    assert f'{tmp_path}/a.onnx: not written, it differs from PyTorch by' in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ('name', 'at'), [('noise', lambda x: x.std() > 0), ('a black picture', lambda x: x.max() == 0)]
)
def test_every_picture_must_come_out_finite(name, at):
    net = ASID(**SMALL).eval()
    damaged = lambda x: net(x).index_fill(3, torch.tensor([1]), torch.inf if at(x) else 0.5)  # noqa: E731
    with pytest.raises(export.ExportError, match=f'^144 of 6912 output values are not finite, for {name} in float16$'):
        check.check(damaged, subject.Subject(net, size=(16, 16), half=True))


def test_float16_that_overflows_is_seen():
    """The weights fit into it, the result does not, at white; PyTorch itself computes it here."""
    net = ASID(**SMALL).eval()
    with torch.no_grad():
        for conv in (net.conv_first, net.conv_up):
            conv.weight.fill_(0)
        net.conv_first.bias.fill_(1), net.conv_up.bias.fill_(60_000), net.conv_up.weight.fill_(100)
    half = copy.deepcopy(net).half()
    with pytest.raises(export.ExportError, match='6912 of 6912 output values are not finite, for noise in float16'):
        check.check(lambda x: half(x.half()).float(), subject.Subject(net, size=(16, 16), half=True))


def test_a_weight_too_large_for_float16_is_named(tmp_path, capsys):
    net = checkpoint(tmp_path, **SMALL)
    net.conv_up.bias.data[0] = -1e5
    torch.save({'params': net.state_dict()}, tmp_path / 'asid.pth')
    assert command('export')([tmp_path / 'asid.pth', tmp_path / 'a.pt2', '--half']) == 2
    expected = f'error: {tmp_path}/a.pt2: not written, conv_up.bias has values up to 1e+05; float16 ends at 65504\n'
    assert capsys.readouterr().err == expected and os.listdir(tmp_path) == ['asid.pth']


@pytest.mark.parametrize('open_file', [runtimes.load_torch_export, runtimes.load_openvino])
def test_damaged_files(tmp_path, open_file):
    (tmp_path / 'a.bin').write_bytes(b'no')
    with pytest.raises(CheckpointError, match='a.bin: damaged, or not in the format of its suffix'):
        open_file(tmp_path / 'a.bin')


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('arguments', '{', 'its metadata have no valid arguments of an ASID'),
        ('arguments', '[' * 100_000, 'its metadata have no valid arguments of an ASID'),
        ('arguments', '{"upscale": 2}', "arguments of an ASID ('num_in_ch')"),
        ('arguments', '[1]', 'its metadata have no valid arguments of an ASID'),
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
    with pytest.raises(CheckpointError, match=r'the output should be \(1, 3, 8, 8\), but it is \(1, 3, 4, 4\)'):
        run(torch.zeros(1, 3, 4, 4))

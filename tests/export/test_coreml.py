"""`asid export` to Core ML: the package computes as PyTorch does, and is as Core ML takes it."""

import importlib.util
import os
import stat
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import fresh
from asid_plugin.archs import ASID
from asid_plugin.export import check, coreml, export
from asid_plugin.export.flat import flattened
from asid_plugin.export.subject import Subject, describe
from helpers import command, random_net

WIDTH, HEIGHT = 21, 13
SMALL = {'num_feat': 16, 'num_block': 1, 'sharing': 'none', 'distillation': False, 'channel_split': False}
installed = pytest.mark.skipif(not importlib.util.find_spec('coremltools'), reason='coremltools is not installed')
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.__version__ < torch.torch_version.TorchVersion('2.9'), reason='exporting needs torch 2.9'),
]


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A network of one block with all its parts, and the package that a process of its own made of it."""
    folder = tmp_path_factory.mktemp('coreml')
    net = random_net(num_feat=16, num_block=1, sharing='intra')
    torch.save({'params': net.state_dict()}, folder / 'asid.pth')
    argv = ['export', folder / 'asid.pth', folder / 'a.mlpackage', '--size', f'{WIDTH}x{HEIGHT}']
    done = fresh.run(['-m', 'asid_plugin', *argv])
    return SimpleNamespace(net=net, package=folder / 'a.mlpackage', done=done)


@installed
def test_the_command_says_what_was_checked_and_nothing_else(made):
    assert (made.done.returncode, made.done.stderr) == (0, '')
    first, second = made.done.stdout.splitlines()
    assert (
        f'a.mlpackage: x2, float32, one image of {WIDTH}x{HEIGHT}; the program before the conversion is within' in first
    )
    assert second == 'for iOS 15, macOS 12 and later; not run, because only these systems can run it'
    assert set(os.listdir(made.package.parent)) == {'asid.pth', 'a.mlpackage'}


@installed
def test_the_package_says_what_it_is(made):
    import coremltools
    from coremltools.proto.FeatureTypes_pb2 import ArrayFeatureType

    spec = coremltools.models.MLModel(str(made.package), skip_model_load=True).get_spec()
    arrays = {one.name: one.type.multiArrayType for one in (*spec.description.input, *spec.description.output)}
    assert {name: [*array.shape] for name, array in arrays.items()} == {
        'input': [1, 3, HEIGHT, WIDTH],
        'output': [1, 3, 2 * HEIGHT, 2 * WIDTH],
    }
    assert {array.dataType for array in arrays.values()} == {ArrayFeatureType.FLOAT32}
    assert spec.specificationVersion == coremltools.target.iOS15 == coremltools.target.macOS12
    about = spec.description.metadata
    assert about.shortDescription == f'ASID, super-resolution x2 of an image of {WIDTH}x{HEIGHT}'
    assert (about.license, about.author) == ('', '')
    assert about.userDefined.items() >= describe(made.net).items()

    files = [path for path in made.package.rglob('*') if path.is_file()]
    assert {path.name for path in files} == {'Manifest.json', 'model.mlmodel', 'weight.bin'}
    assert not any(os.fsencode(Path(coreml.__file__).parent) in path.read_bytes() for path in files)
    umask = os.umask(0)
    os.umask(umask)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in files}
    assert modes == {0o666 & ~umask}, 'others may read it'
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.package.glob('**/')} == {0o777 & ~umask}


@installed
def test_the_package_computes_as_pytorch(made):
    """Its own operations and weights, read from its files."""
    from mil_interpreter import Program

    program = Program(made.package)
    assert check.check(program.run, Subject(made.net, (HEIGHT, WIDTH))) < 1e-5
    ranks = Counter(len(var.shape) for op in program.operations for var in op.outputs)
    assert max(ranks) == 5 and {var.dtype.__name__ for op in program.operations for var in op.outputs} == {'fp32'}


@installed
def test_half_takes_lengths_in_float32_and_the_place_of_an_old_package(tmp_path):
    """One channel of the keys is zero, and the squares of the others are too large for float16."""
    from mil_interpreter import Program

    net = random_net(**SMALL, upscale=3)
    with torch.no_grad():
        for attention in (net.body[0].cam.meso_attn, net.body[0].cam.global_attn):
            attention.qkv.weight[16:32] *= 3000
            attention.qkv.weight[21] = 0
    package = tmp_path / 'a.mlpackage'
    package.mkdir()
    for name in ('Manifest.json', 'old.txt'):
        (package / name).touch()
    assert 1e-5 < export(net, package, 'coreml', half=True, size=(16, 24)) < 5e-3
    assert sorted(os.listdir(package)) == ['Data', 'Manifest.json'] and os.listdir(tmp_path) == ['a.mlpackage']
    program = Program(package)
    assert 1e-5 < check.check(program.run, Subject(net, (16, 24), half=True)) < 5e-3
    kept = Counter(op.op_type for op in program.operations if op.outputs[0].dtype.__name__ == 'fp32')
    assert kept['real_div'] == 2 and kept['matmul'] == 2 and not kept['linear'] and not kept['conv']


@pytest.mark.parametrize('arguments', [{}, {'window_size': 5, 'num_in_ch': 1, 'channel_scale': 'fixed'}])
def test_the_flat_network_is_equal_bit_for_bit(arguments):
    net = random_net(num_feat=16, num_block=2, **arguments)
    for size in ((7, 33), (40, 40)):
        x = torch.rand(1, net.conv_first.in_channels, *size)
        with torch.inference_mode():
            assert torch.equal(flattened(net)(x), net(x))


def test_what_cannot_be_is_said_and_nothing_written(tmp_path, capsys, monkeypatch):
    torch.save({'params': ASID(**SMALL).state_dict()}, tmp_path / 'asid.pth')
    argv = [tmp_path / 'asid.pth', tmp_path / 'a.mlpackage']
    monkeypatch.setitem(sys.modules, 'coremltools', None)
    for more, message in (
        ([], 'Core ML needs a fixed size, such as --size 64x64'),
        (['--size', '16x16', '--opset', '20'], 'opset 20: the format coreml has no opsets'),
        (['--size', '16x16'], "coremltools is not installed: pip install '.[coreml]' in a checkout of asid_plugin"),
    ):
        assert command('export')([*argv, *more]) == 2
        assert capsys.readouterr().err == f'error: {message}\n'
    assert os.listdir(tmp_path) == ['asid.pth']


def test_only_a_package_is_replaced(tmp_path):
    (tmp_path / 'a.mlpackage').mkdir()
    coreml.check_place(tmp_path / 'a.mlpackage')
    (tmp_path / 'a.mlpackage' / 'thesis.txt').write_text('mine')
    (tmp_path / 'b.mlpackage').write_text('mine')
    for path in tmp_path.iterdir():
        with pytest.raises(FileExistsError, match='exists and is not a Core ML package'):
            export(ASID(**SMALL), path, 'coreml', size=(16, 16))
    (tmp_path / 'a.mlpackage' / 'Manifest.json').touch()
    coreml.check_place(tmp_path / 'a.mlpackage')

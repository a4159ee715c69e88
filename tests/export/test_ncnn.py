"""`asid export` to ncnn: the pair computes as PyTorch does, at any size, and is as Upscayl's models are."""

import os
import sys

import pytest
import torch

from asid_plugin.archs import ASID
from asid_plugin.export import ExportError, check, export, least_side, ncnn_asid, scale_by_name
from asid_plugin.export.subject import Subject
from helpers import command, random_net

SMALL = {'num_feat': 16, 'num_block': 1}
VARIANTS = (
    {'num_feat': 16, 'num_block': 2, 'upscale': 2},
    {'num_feat': 20, 'num_block': 2, 'upscale': 4, 'sharing': 'intra', 'window_size': 4},
    SMALL | {'upscale': 3, 'sharing': 'none', 'distillation': False, 'channel_split': False},
    SMALL | {'upscale': 1, 'channel_split': False, 'num_in_ch': 1, 'num_out_ch': 1},
)


def saved(folder, **arguments):
    net = random_net(**arguments)
    torch.save({'params': net.state_dict()}, folder / 'asid.pth')
    return net


@pytest.mark.slow
@pytest.mark.parametrize('arguments', VARIANTS)
def test_agrees_with_pytorch_at_any_size(tmp_path, arguments):
    pytest.importorskip('ncnn', reason='ncnn is not installed')
    net = random_net(**arguments)
    worst = {}
    for half in (False, True):
        ncnn_asid.write_ncnn(Subject(net, half=half), tmp_path / 'a.param')
        run = ncnn_asid.NcnnNetwork(tmp_path / 'a.param').run
        worst[half] = check.check(run, Subject(net, half=half), ((2, least_side(net), 31), (1, 33, 24)))
    assert worst[False] < 2e-5 < worst[True] < 1e-3


@pytest.mark.parametrize('window_size', [4, 8, 12])
def test_the_least_side_leaves_interp_two_pixels(tmp_path, window_size):
    """Of maps one pixel wide, ncnn's bilinear Interp reads memory before them."""
    ncnn = pytest.importorskip('ncnn', reason='ncnn is not installed')
    net = random_net(**SMALL, upscale=2, window_size=window_size)
    ncnn_asid.write_ncnn(Subject(net), tmp_path / 'a.param')
    layers = [line.split() for line in (tmp_path / 'a.param').read_text().splitlines()[2:]]
    [low] = [layer[4] for layer in layers if layer[0] == 'Interp' and '0=2' in layer]
    host = ncnn_asid.NcnnNetwork(tmp_path / 'a.param').net
    sides = {}
    for side in (least_side(net) - 1, least_side(net)):
        image = torch.rand(3, side, 64).numpy()
        with host.create_extractor() as extractor:
            extractor.input('data', ncnn.Mat(image).clone())
            sides[side] = extractor.extract(low)[1].h
    assert list(sides.values()) == [1, 2]


def test_an_image_that_is_a_view(tmp_path):
    """The Mat must not outlive the copy that it is made from."""
    pytest.importorskip('ncnn', reason='ncnn is not installed')
    net = random_net(**SMALL, upscale=2)
    ncnn_asid.write_ncnn(Subject(net), tmp_path / 'a.param')
    image = torch.rand(1, 24, 40, 3).movedim(-1, 1)
    with torch.no_grad():
        assert (ncnn_asid.NcnnNetwork(tmp_path / 'a.param').run(image) - net(image)).abs().max() < 2e-5


def test_the_command_writes_a_pair_as_upscayl_takes_it(tmp_path, capsys):
    pytest.importorskip('ncnn', reason='ncnn is not installed')
    saved(tmp_path, **SMALL, upscale=2)
    assert command('export')([tmp_path / 'asid.pth', tmp_path / 'asid-x2.param', '--half', '--format', 'ncnn']) == 0
    out = capsys.readouterr().out
    assert 'asid-x2.param: x2, float16, any height and width; within' in out and 'Upscayl' not in out
    assert set(os.listdir(tmp_path)) == {'asid.pth', 'asid-x2.param', 'asid-x2.bin'}
    magic, counts, first, *layers = (tmp_path / 'asid-x2.param').read_text().splitlines()
    assert magic == '7767517' and first.split() == ['Input', 'input_0', '0', '1', 'data']
    assert int(counts.split()[0]) == len(layers) + 1
    results = [name for line in layers for name in line.split()[4 + int(line.split()[2]) :] if '=' not in name]
    assert int(counts.split()[1]) == len(set(results)) + 1 == len(results) + 1, 'every blob is counted, and made once'
    assert layers[-1].split()[:5] == ['Crop', f'crop_{len(layers)}', '2', '1', layers[-1].split()[4]]
    assert layers[-1].split()[6] == 'output'
    assert (tmp_path / 'asid-x2.bin').read_bytes().startswith(b'\x47\x6b\x30\x01'), 'float16, by its tag'


def test_a_fixed_size_and_a_name_of_another_scale(tmp_path, capsys):
    pytest.importorskip('ncnn', reason='ncnn is not installed')
    saved(tmp_path, **SMALL, upscale=3)
    assert command('export')([tmp_path / 'asid.pth', tmp_path / 'asid.param', '--size', '24x17']) == 0
    said, note = capsys.readouterr().out.splitlines()
    assert 'x3, float32, one image of 24x17; within' in said
    assert note == 'Upscayl reads the scale x4 from this name; put x3 into the name'
    assert ' data 0=24 1=17 2=3\n' in (tmp_path / 'asid.param').read_text()


def test_a_name_tells_upscayl_the_scale():
    names = {'asid-x2': 2, '4xASID': 4, 'asid_3x': 3, 'asid': 4, 'asid-x16': 1, 'x8': 8}
    assert {name: scale_by_name(name) for name in names} == names


def test_a_size_too_small_for_ncnn_is_named_and_nothing_written(tmp_path, capsys):
    pytest.importorskip('ncnn', reason='ncnn is not installed')
    saved(tmp_path, **SMALL, upscale=2)
    assert command('export')([tmp_path / 'asid.pth', tmp_path / 'a.param', '--size', '64x16']) == 2
    assert 'a.param: cannot be written, size 64x16: ncnn needs sides of at least 17' in capsys.readouterr().err
    assert os.listdir(tmp_path) == ['asid.pth']


def test_without_ncnn_the_extra_is_named_and_nothing_written(tmp_path, capsys, monkeypatch):
    saved(tmp_path, **SMALL, upscale=2)
    monkeypatch.setitem(sys.modules, 'ncnn', None)
    assert command('export')([tmp_path / 'asid.pth', tmp_path / 'a.param']) == 2
    assert (
        capsys.readouterr().err == "error: ncnn is not installed: pip install '.[ncnn]' in a checkout of asid_plugin\n"
    )
    assert os.listdir(tmp_path) == ['asid.pth']


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='needs pipes')
def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / 'a.param')
    with pytest.raises(FileExistsError, match='exists and is not a regular file'):
        export(random_net(**SMALL), tmp_path / 'a.param', 'ncnn')
    assert (tmp_path / 'a.param').is_fifo() and os.listdir(tmp_path) == ['a.param']


def test_channels_must_be_kept(tmp_path):
    with pytest.raises(ExportError, match='as many output channels as input channels'):
        ncnn_asid.write_ncnn(Subject(ASID(**SMALL, num_in_ch=1)), tmp_path / 'a.param')


@pytest.mark.parametrize('argument', [{'input_range': 'unit'}, {'position_bias': False}, {'channel_scale': 'fixed'}])
def test_only_the_network_of_the_paper(tmp_path, argument):
    with pytest.raises(ExportError, match=f'not one with {next(iter(argument))} '):
        export(ASID(num_feat=16, num_block=1, **argument), tmp_path / 'x2.param', 'ncnn')
    assert not list(tmp_path.iterdir())


def test_damaged_files(tmp_path):
    pytest.importorskip('ncnn', reason='ncnn is not installed')
    (tmp_path / 'a.param').write_text('7767517\n1 1\nNoLayer a 0 1 data\n')
    (tmp_path / 'a.bin').write_bytes(b'')
    with pytest.raises(ExportError, match='ncnn cannot load it'):
        ncnn_asid.NcnnNetwork(tmp_path / 'a.param')

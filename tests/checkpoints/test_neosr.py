"""neosr's ASID: compared with a plain implementation, distinguished from the paper's, and converted."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import neosr_reference
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import reference
from asid_plugin.archs import ASID
from asid_plugin.checkpoints import CheckpointError, load_asid, read_state_dict
from asid_plugin.images import Image
from asid_plugin.inference.upscaler import load_upscaler
from asid_plugin.layouts.author_layout import to_author_layout
from asid_plugin.layouts.neosr_layout import from_neosr_layout, is_untrained
from asid_plugin.layouts.state_dict import infer_arguments, is_asid
from asid_plugin.spandrel import ASIDArch  # before spandrel: it repairs spandrel's imports
from helpers import command

# isort: split
from spandrel import ModelLoader

convert = command('convert')
COMBINATIONS = [(flash, pe) for flash in (False, True) for pe in (False, True)]


def theirs(pe: bool, trained: str = 'all', **arguments: object) -> dict[str, Tensor]:
    """Weights of neosr's ASID in float64, none as at first, or those that get a gradient with `flash_attn`."""
    torch.manual_seed(0)
    net = ASID(**{'num_feat': 16, 'num_block': 2, **arguments}).double()
    state_dict = {key: value + 0.1 * torch.randn_like(value) for key, value in net.state_dict().items()}
    if trained == 'flash':
        kept = re.compile(r'cam\.(norm[13]|\w+_attn\.temperature)')
        state_dict |= {key: value for key, value in net.state_dict().items() if kept.search(key)}
    return {key: value for key, value in to_author_layout(state_dict).items() if pe or 'rel_pos_bias' not in key}


def network(ours: dict[str, Tensor]) -> ASID:
    net = ASID(**infer_arguments(ours)).double().eval()
    net.load_state_dict(ours)
    return net


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(('flash', 'pe'), COMBINATIONS)
@pytest.mark.parametrize('upscale', [2, 4])
def test_the_picture_is_neosrs(flash: bool, pe: bool, upscale: int):
    weights = theirs(pe, upscale=upscale)
    net = network(from_neosr_layout(weights, flash))
    assert not any(flash and 'temperature' in name for name, _ in net.named_parameters())
    for size in (17, 30), (25, 16):
        x = torch.rand(1, 3, *size, dtype=torch.float64)
        expected = neosr_reference.asid(x, weights, upscale, flash)
        assert expected.std() > 0.1
        assert (net(x) - expected).abs().max() < 1e-9


@pytest.mark.slow
@torch.no_grad()
def test_of_other_windows_and_depths_too():
    weights = theirs(pe=False, num_block=8, window_size=4, upscale=3)
    net = network(from_neosr_layout(weights, flash=True, window_size=4))
    x = torch.rand(1, 3, 18, 21, dtype=torch.float64)
    assert (net(x) - neosr_reference.asid(x, weights, 3, True, 4)).abs().max() < 1e-9


@torch.no_grad()
def test_the_restatement_is_another_network_than_the_papers():
    """With the paper's range and options both networks are equal; only the arguments make the difference."""
    weights = theirs(pe=True)
    x = torch.rand(1, 3, 16, 24, dtype=torch.float64)
    paper = reference.asid(x, network_of_the_paper(weights), 2, 'inter', reference.VECTORISED)
    assert (neosr_reference.asid(2 * x - 1, weights, 2, flash=False) / 2 + 0.5 - paper).abs().max() < 1e-12
    assert (neosr_reference.asid(x, weights, 2, flash=False) - paper).abs().max() > 0.1


def network_of_the_paper(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    net = ASID(num_feat=16, num_block=2).double()
    net.load_state_dict(weights)
    return net.state_dict()


@pytest.mark.parametrize('arguments', [{'input_range': 'unit'}, {'position_bias': False}, {'channel_scale': 'fixed'}])
def test_a_state_dict_tells_each_argument(arguments: dict):
    net = ASID(num_feat=16, num_block=2, window_size=4, **arguments)
    state_dict = net.state_dict()
    assert infer_arguments(state_dict) == net.arguments
    assert net.arguments.items() >= {'window_size': 4, **arguments}.items()
    assert is_asid(state_dict) and ASIDArch().detect(state_dict)
    net(torch.rand(1, 3, 16, 16)).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    paper = ASID(num_feat=16, num_block=2, window_size=4)
    (name,) = arguments
    for one, other in ((net, paper), (paper, net)):
        message = f'{name} is {other.arguments[name]!r} there and {one.arguments[name]!r} here'
        with pytest.raises(RuntimeError, match=re.escape(message)):
            one.load_state_dict(other.state_dict())


@pytest.mark.parametrize('marker', [torch.tensor([0.0, 255.0]), torch.tensor([0.0]), torch.zeros(1).expand(10**9)])
def test_ranges_of_strangers_are_refused(marker: Tensor):
    state_dict = ASID(num_feat=16, num_block=1, input_range='unit').state_dict()
    with pytest.raises(ValueError, match='input_range must be 0 and 1'):
        infer_arguments(state_dict | {'input_range': marker})


def test_windows_without_biases_differ():
    net, other = (ASID(num_feat=16, num_block=1, position_bias=False, window_size=p) for p in (8, 4))
    with pytest.raises(RuntimeError, match='window_size is 4 there and 8 here'):
        net.load_state_dict(other.state_dict())


@pytest.mark.parametrize('name', ['input_range', 'channel_scale'])
def test_other_choices_are_refused(name: str):
    with pytest.raises(ValueError, match=f"{name} must be one of .*, got 'both'"):
        ASID(**{name: 'both'})


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(
    ('flash', 'pe', 'layout'),
    [*((flash, pe, 'asid') for flash, pe in COMBINATIONS), (True, False, 'mmengine'), (True, False, 'spandrel')],
)
def test_conversion(tmp_path: Path, capsys: pytest.CaptureFixture, flash: bool, pe: bool, layout: str):
    """By the command, to safetensors, and on to .pth: no weight changes by a bit, the picture is neosr's."""
    weights = {key: value.float() for key, value in theirs(pe, 'flash' if flash else 'all').items()}
    assert is_untrained(weights) == flash
    a, b, c = (str(tmp_path / name) for name in ('a.pth', 'b.safetensors', 'c.pth'))
    torch.save({'params': weights}, a)
    how = [] if flash else ['--no-flash']
    assert convert([a, b, '--from', 'neosr', '--layout', layout, *how]) == 0
    differing = 'input_range unit' + ', position_bias False' * (not pe) + ', channel_scale fixed' * flash
    assert capsys.readouterr().out == f'wrote {b}, {layout} layout, {differing}\n'
    assert convert([b, c]) == 0
    ours = torch.load(c)['params']
    expected = from_neosr_layout(weights, flash)
    assert ours.keys() == expected.keys() and all(torch.equal(ours[key], expected[key]) for key in ours)
    with safe_open(b, 'pt') as file:
        assert json.loads(file.metadata()['network_g']) == {'type': 'ASID', **infer_arguments(ours)}

    x = torch.rand(1, 3, 21, 35)
    picture = neosr_reference.asid(x.double(), {key: value.double() for key, value in weights.items()}, 2, flash)
    for path in (b, c):
        assert (load_asid(path)(x) - picture).abs().max() < 1e-4
        assert (ModelLoader().load_from_file(path).model.eval()(x) - picture).abs().max() < 1e-4


@pytest.mark.slow
def test_a_file_that_does_not_tell_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture):
    a, b = str(tmp_path / 'a.pth'), tmp_path / 'b.pth'
    torch.save({'params_ema': theirs(pe=False)}, a)
    assert convert([a, str(b), '--from', 'neosr']) == 2 and not b.exists()
    assert 'give --flash if it was, else --no-flash' in capsys.readouterr().err
    for how, scale in (('--flash', 'fixed'), ('--no-flash', 'learned')):
        assert convert([a, str(b), '--from', 'neosr', how, '--window-size', '4']) == 0
        assert load_asid(b).arguments.items() >= {'channel_scale': scale, 'window_size': 4}.items()


@pytest.mark.parametrize(
    ('content', 'options', 'message'),
    [
        ({}, ['--flash'], '--flash, --no-flash and --window-size need --from neosr'),
        (ASID(num_feat=16, num_block=1).state_dict(), ['--from', 'neosr'], "a.pth: not neosr's ASID: its keys are"),
        (theirs(pe=False), ['--from', 'neosr', '--flash', '--window-size', '0'], 'window_size must be 2 to 32, got 0'),
        (
            theirs(pe=False),
            ['--from', 'neosr', '--flash', '--window-size', '99'],
            'window_size must be 2 to 32, got 99',
        ),
        (
            {key: value for key, value in theirs(pe=False).items() if key != 'input.bias'},
            ['--from', 'neosr', '--flash'],
            'conv_first.bias is missing',
        ),
        (theirs(pe=True), ['--from', 'neosr', '--flash', '--layout', 'authors'], "the authors' layout cannot hold a"),
    ],
    ids=['no origin', 'ours', 'window 0', 'window 99', 'no bias', 'authors'],
)
def test_conversions_that_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture, content: dict, options: list[str], message: str
):
    torch.save(content, tmp_path / 'a.pth')
    assert convert([str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth'), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'b.pth').exists()


def test_the_authors_network_of_a_fork_is_converted(tmp_path: Path, capsys: pytest.CaptureFixture):
    net = ASID(num_feat=16, num_block=1)
    torch.save({'params': to_author_layout(net.state_dict())}, tmp_path / 'fork.pth')
    words = [str(tmp_path / 'fork.pth'), str(tmp_path / 'ours.pth')]
    assert convert(words) == 2 and 'with --from authors if a fork of BasicSR trained' in (capsys.readouterr().err)
    assert convert([*words, '--from', 'authors']) == 0
    loaded = load_asid(tmp_path / 'ours.pth')
    assert loaded.arguments == net.arguments
    assert all(map(torch.equal, loaded.state_dict().values(), net.state_dict().values()))
    assert convert([*words, '--from', 'authors', '--flash']) == 2


@pytest.mark.slow
def test_unconverted_files_are_refused_with_the_command(tmp_path: Path):
    """Also those of a compiled network, whose names begin otherwise."""
    for wrap in (
        lambda weights: {'params': weights},
        lambda weights: {'params': {f'_orig_mod.{key}': value for key, value in weights.items()}},
    ):
        torch.save(wrap(theirs(pe=True)), tmp_path / 'a.pth')
        refuses(read_state_dict, tmp_path / 'a.pth')
        assert convert([str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth'), '--from', 'neosr', '--flash']) == 0
        assert load_asid(tmp_path / 'b.pth').arguments['channel_scale'] == 'fixed'
    save_file({key: value.contiguous() for key, value in theirs(pe=False).items()}, tmp_path / 'a.safetensors')
    refuses(load_asid, tmp_path / 'a.safetensors')


def refuses(read: Callable, path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"neosr's ASID, .*`asid convert --from neosr IN OUT`"):
        read(path)


@pytest.mark.slow
@torch.no_grad()
def test_upscaling_takes_the_converted_file(tmp_path: Path):
    torch.save({'params': theirs(pe=False)}, tmp_path / 'a.pth')
    assert convert([str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth'), '--from', 'neosr', '--flash']) == 0
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    sr = load_upscaler(tmp_path / 'b.pth')(Image(pixels)).pixels
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].double() / 255
    expected = neosr_reference.asid(x, theirs(pe=False), 2, flash=True)[0].clamp(0, 1).mul(255).permute(1, 2, 0)
    assert np.abs(sr - expected.numpy()).max() < 0.501

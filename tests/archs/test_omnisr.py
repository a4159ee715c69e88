"""Omni-SR: the released network at a channel-split ratio of 1, and what a smaller ratio leaves out of attention."""

from pathlib import Path

import pytest
import torch
from basicsr.utils.registry import ARCH_REGISTRY
from mmengine.registry import MODELS
from spandrel import ModelLoader
from spandrel.architectures.OmniSR import OmniSR as SpandrelOmniSR
from spandrel.architectures.OmniSR.__arch.OSA import OSA_Block
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import asid_plugin  # noqa: F401  # also repairs the imports of spandrel
from asid_plugin.archs import ASID, OmniSR
from asid_plugin.archs.omnisr_arch import MultiHeadChannelAttention
from asid_plugin.checkpoints import CheckpointError, load_asid
from asid_plugin.cost.complexity import count_parameters, input_size, multiply_adds, paper_flops, thop_parameters
from asid_plugin.layouts.omnisr_layout import from_released_layout, infer_arguments, to_released_layout
from asid_plugin.options.network import check_network

# spandrel's own code
pytestmark = [
    pytest.mark.filterwarnings('ignore:torch.meshgrid:UserWarning'),
    pytest.mark.filterwarnings("ignore:'saved_variables':DeprecationWarning"),
]
TINY = {'num_feat': 16, 'num_block': 2, 'upscale': 2}
RATIOS = (1, 0.75, 0.5, 0.25)
# Arguments, parameters, those that thop 0.1.1 counts, and its multiply-adds in G at a 1280x720 output.
SIZES = [
    ({'upscale': 4}, 805_376, 792_496, 45.288),
    ({'upscale': 3}, 793_259, 780_379, 78.494),
    ({'upscale': 2}, 784_604, 771_724, 172.446),
    ({'upscale': 2, 'num_block': 3}, 489_020, 481_292, 107.661),
]


class SplitBlock(nn.Module):
    """spandrel's OSA block with attention of width `num_attn`, the other channels led round it."""

    def __init__(self, num_feat: int, num_attn: int) -> None:
        super().__init__()
        self.num_local = num_feat - num_attn
        local, attention = (OSA_Block(width, window_size=8, with_pe=True) for width in (num_feat, num_attn))
        self.layer = nn.Sequential(local.layer[0], *attention.layer[1:])

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer[0](x)
        return torch.cat([self.layer[1:](x[:, self.num_local :]), x[:, : self.num_local]], dim=1)


def spandrel_net(num_feat: int = 64, num_block: int = 5, upscale: int = 4, ratio: float = 1) -> nn.Module:
    """Omni-SR of spandrel, its attention replaced where the ratio asks for it, with every weight changed at random."""
    torch.manual_seed(0)
    net = SpandrelOmniSR(num_feat=num_feat, res_num=num_block, up_scale=upscale)
    for group in net.residual_layer if ratio != 1 else ():
        group.residual_layer[0] = SplitBlock(num_feat, int(ratio * num_feat))
    for parameter in net.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return net.double().eval()


@pytest.fixture(scope='module')
def released() -> nn.Module:
    return spandrel_net()


@pytest.fixture(scope='module')
def omnisr(released: nn.Module) -> OmniSR:
    net = OmniSR().double().eval()
    assert not any(net.load_state_dict(released.state_dict()))
    return net


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize('size', [(16, 16), (17, 30), (24, 40)], ids=str)
def test_omnisr_equals_spandrel(released: nn.Module, omnisr: OmniSR, size: tuple[int, int]):
    """Not square, and not 64x64, where the two global groupings would coincide."""
    x = torch.rand(2, 3, *size, dtype=torch.float64)
    assert (omnisr(x) - released(x)).abs().max() < 1e-12


@torch.no_grad()
def test_omnisr_equals_spandrel_in_float32():
    reference, net = spandrel_net(16, 2, 2).float(), OmniSR(**TINY)
    net.load_state_dict(reference.state_dict())
    x = torch.rand(1, 3, 33, 50)
    assert (net(x) - reference(x)).abs().max() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize('ratio', RATIOS)
def test_split_channels_go_round_attention(ratio: float):
    """Outputs and gradients are those of spandrel's blocks, put together with a narrower attention."""
    arguments = TINY | {'num_feat': 32}  # narrower, a head of a quarter would have one channel, and no temperature
    reference, net = spandrel_net(32, 2, 2, ratio), OmniSR(**arguments, channel_split=ratio).double()
    net.load_state_dict(reference.state_dict())
    x = torch.rand(2, 3, 16, 30, dtype=torch.float64)
    y, expected = net(x), reference(x)
    torch.testing.assert_close(y, expected, atol=1e-12, rtol=0)
    y.square().sum().backward()
    expected.square().sum().backward()
    gradients = from_released_layout({name: p.grad for name, p in reference.named_parameters()})
    for name, parameter in net.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-9, rtol=1e-9, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(('arguments', 'parameters', 'thop', 'flops'), SIZES, ids=str)
def test_sizes(arguments: dict, parameters: int, thop: int, flops: float):
    """All multiply-adds are what torch counts when spandrel's network runs; thop was run on that network once."""
    with torch.device('meta'):
        net = OmniSR(**arguments)
        size = input_size(net.upscale)
        reference = SpandrelOmniSR(res_num=len(net.body), up_scale=net.upscale).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            reference(torch.empty(1, 3, *size))
    assert count_parameters(net) == count_parameters(reference) == parameters
    assert thop_parameters(net) == thop
    assert round(paper_flops(net, *size) / 1e9, 3) == flops
    assert 2 * multiply_adds(net, *size) == counter.get_total_flops()


@pytest.mark.slow
@pytest.mark.parametrize('ratio', RATIOS)
def test_sizes_of_a_ratio(ratio: float):
    reference = spandrel_net(64, 3, 2, ratio).to('meta')
    with torch.device('meta'):
        net = OmniSR(upscale=2, num_block=3, channel_split=ratio)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            reference(torch.empty(1, 3, 40, 56, dtype=torch.float64))
    assert count_parameters(net) == count_parameters(reference)
    assert 2 * multiply_adds(net, 40, 56) == counter.get_total_flops()


def test_thop_counts_less_of_asid():
    """Six bias tables in all; in each of three blocks two temperatures, four norms of CAM and one in each SAM layer."""
    norms = 4 * 2 * 48 + 2 * 2 * (36 + 24 + 12)
    net = ASID()
    assert count_parameters(net) - thop_parameters(net) == 6 * 225 + 3 * (2 + norms)


def test_layouts_round_trip(released: nn.Module):
    theirs = released.state_dict()
    ours = from_released_layout(theirs)
    assert ours.keys() == OmniSR().state_dict().keys()
    back = to_released_layout(ours)
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[key], theirs[key]) for key in theirs)
    assert all(torch.equal(again, ours[key]) for key, again in from_released_layout(back).items())


@torch.no_grad()
def test_our_weights_go_back_to_spandrel():
    net = OmniSR(**TINY).eval()
    loaded = ModelLoader().load_from_state_dict(to_released_layout(net.state_dict()))
    assert loaded.scale == 2
    x = torch.rand(1, 3, 20, 24)
    torch.testing.assert_close(loaded(x), net(x).clamp(0, 1), atol=1e-6, rtol=0)


def test_a_ratio_has_no_released_layout():
    with pytest.raises(ValueError, match=r'channel_split=1 is Omni-SR, not one with 0\.5'):
        to_released_layout(OmniSR(**TINY, channel_split=0.5).state_dict())


def test_junk_of_thop_is_ignored(released: nn.Module):
    junk = {'total_ops': torch.zeros(1), 'residual_layer.0.esa.conv1.total_params': torch.zeros(1)}
    assert not any(OmniSR().load_state_dict(released.state_dict() | junk))


def test_a_key_that_is_not_omnisrs_is_reported(released: nn.Module):
    with pytest.raises(RuntimeError, match='keys are missing or unexpected: residual_layer.0.extra'):
        OmniSR().load_state_dict(released.state_dict() | {'residual_layer.0.extra': torch.zeros(1)})


@pytest.mark.parametrize(
    'arguments',
    [
        {},
        TINY | {'channel_split': 0.75},
        TINY | {'num_in_ch': 1, 'num_out_ch': 1, 'upscale': 3, 'window_size': 4},
        TINY | {'num_in_ch': 4, 'num_out_ch': 3},
    ],
    ids=str,
)
def test_arguments_are_found_from_the_weights(arguments: dict):
    defaults = {'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 64, 'num_block': 5, 'upscale': 4, 'window_size': 8}
    with torch.device('meta'):
        weights = OmniSR(**arguments).state_dict()
    assert infer_arguments(weights) == defaults | {'channel_split': 1} | arguments


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'channel_split': 0.5}, 'channel_split is 1.0 there and 0.5 here'),
        ({'upscale': 4}, 'upscale is 2 there and 4 here'),
        ({'num_block': 3}, 'num_block is 2 there and 3 here'),
    ],
)
@pytest.mark.parametrize('layout', [dict, to_released_layout])
def test_weights_of_another_omnisr_are_refused(arguments: dict, message: str, layout: type):
    weights = layout(OmniSR(**TINY).state_dict())
    with pytest.raises(RuntimeError, match=message):
        OmniSR(**TINY | arguments).load_state_dict(weights)


def test_asid_and_omnisr_do_not_take_each_others_weights(tmp_path: Path):
    asid, net = ASID(num_feat=16, num_block=2), OmniSR(**TINY)
    with pytest.raises(RuntimeError, match="not the weights of an Omni-SR: 'body.0.meso_osa"):
        net.load_state_dict(asid.state_dict())
    for number, weights in enumerate((net.state_dict(), to_released_layout(net.state_dict()))):
        with pytest.raises(RuntimeError, match='not the weights of an ASID: '):
            asid.load_state_dict(weights)
        torch.save(weights, tmp_path / f'{number}.pth')
        with pytest.raises(CheckpointError, match='not the weights of an ASID'):
            load_asid(tmp_path / f'{number}.pth')


@torch.no_grad()
@pytest.mark.parametrize('size', [(1, 1), (1, 40), (16, 16), (33, 24)], ids=str)
@pytest.mark.parametrize('upscale', [1, 3])
def test_any_size_and_batch(size: tuple[int, int], upscale: int):
    net = OmniSR(num_feat=16, num_block=1, upscale=upscale, channel_split=0.5).eval()
    x = torch.rand(3, 3, *size)
    y = net(x)
    assert y.shape == (3, 3, size[0] * upscale, size[1] * upscale)
    torch.testing.assert_close(y[1:2], net(x[1:2]))


@torch.no_grad()
@pytest.mark.parametrize('picture', [torch.zeros(1, 3, 20, 24), torch.ones(1, 3, 20, 24), torch.rand(1, 3, 20, 24)])
# bfloat16 has three bits less than float16, so eight times its error
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float16, 0.02), (torch.bfloat16, 0.15)])
def test_half_precision_is_near_float32(picture: Tensor, dtype: torch.dtype, tolerance: float):
    net = OmniSR(**TINY).eval()
    net.load_state_dict(spandrel_net(16, 2, 2).state_dict())
    expected = net(picture)
    with torch.autocast('cpu', dtype):
        autocast = net(picture).float()
    for y in (autocast, net.to(dtype)(picture.to(dtype)).float()):
        assert (y - expected).abs().max() < tolerance * expected.abs().max()


@torch.no_grad()
@pytest.mark.parametrize('factor', [0, 1e-5, 1e3])
@pytest.mark.parametrize('level', ['meso', 'global'])
def test_float16_channel_attention_of_extreme_queries(level: str, factor: float):
    """Sums of squares beyond 65504 overflow in float16, tiny ones vanish."""
    torch.manual_seed(0)
    attention = MultiHeadChannelAttention(16, level)
    attention.qkv.weight *= factor
    x = torch.randn(1, 16, 24, 16)
    nothing = torch.zeros_like(x)
    expected = attention(x, nothing)
    y = attention.half()(x.half(), nothing.half()).float()
    assert (y - expected).abs().max() <= 0.02 * expected.abs().max() + 1e-6


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'channel_split': 0}, 'channel_split must be above 0.* got 0 with num_feat=64'),
        ({'channel_split': 1.25}, 'channel_split must be .*at most 1'),
        ({'channel_split': 0.7}, r'channel_split \* num_feat a multiple of 4, got 0.7'),
        ({'channel_split': 1 / 64}, 'channel_split'),
        ({'channel_split': 1e-12}, 'channel_split'),
        ({'channel_split': True}, 'channel_split .*got True'),
        ({'channel_split': '0.5'}, "channel_split .*got '0.5'"),
        ({'channel_split': float('nan')}, 'channel_split'),
        ({'num_feat': 50}, 'num_feat'),
        ({'num_block': 0}, 'num_block'),
        ({'upscale': 1.5}, 'upscale'),
        ({'window_size': 1}, 'window_size'),
    ],
    ids=str,
)
def test_impossible_arguments_are_named(arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        OmniSR(**arguments)


def test_registries():
    assert ARCH_REGISTRY.get('OmniSR') is OmniSR
    assert type(MODELS.build({'type': 'OmniSR', **TINY})) is OmniSR


@pytest.mark.parametrize(
    ('network', 'problems'),
    [
        ({'channel_split': 0.5}, []),
        ({'channel_splt': 0.5}, ['network_g: channel_splt: unknown; did you mean channel_split? (OmniSR)']),
        ({'sharing': 'inter'}, ['network_g: sharing: unknown; known are channel_split, num_block']),
        ({'channel_split': 0.3}, ['network_g: OmniSR: channel_split must be above 0']),
    ],
    ids=str,
)
def test_option_files_are_checked(network: dict, problems: list[str]):
    opt = {'scale': 2, 'network_g': {'type': 'OmniSR', 'num_block': 3, 'upscale': 2, **network}}
    found = [str(problem) for problem in check_network(opt)]
    assert len(found) == len(problems)
    assert all(line.startswith(start) for line, start in zip(found, problems, strict=True)), found

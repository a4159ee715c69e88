"""The network: exact, of the paper's sizes, for any input and precision."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from basicsr.archs import build_network
from basicsr.utils.registry import ARCH_REGISTRY
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from torch import Tensor

import reference
from asid_plugin.archs import ASID
from asid_plugin.cost.complexity import count_parameters, input_size, multiply_adds, paper_flops
from asid_plugin.export import export_any_size
from asid_plugin.published.variants import VARIANTS

GOLDEN = Path(__file__).parents[1] / 'fixtures' / 'asid_x2.npz'
NETWORKS = {v.name: v for v in VARIANTS if v.network == 'ASID'}
ABLATIONS = {  # what the networks differ in besides their depth
    name: {key: value for key, value in variant.arguments.items() if key != 'num_block'}
    for name, variant in NETWORKS.items()
    if not variant.depth
} | {'ASID': {}}
# Name, scale, parameters, the paper's FLOPs in G, all multiply-adds in G: facts of the paper and its supplement.
SIZES = [
    ('ASID', 2, 297_516, 63.592, 77.793),
    ('ASID', 3, 304_011, 29.287, 35.677),
    ('ASID', 4, 313_104, 17.166, 20.795),
    ('ASID-D8', 2, 732_146, 155.590, 190.362),
    ('ASID-D8', 3, 738_641, None, None),
    ('ASID-D8', 4, 747_734, 40.674, 49.560),
    ('N=2', 2, 210_590, None, None),
    ('N=4', 2, 384_442, None, None),
    ('N=5', 2, 471_368, None, None),
    ('N=6', 2, 558_294, None, None),
    ('N=7', 2, 645_220, None, None),
    ('Baseline', 2, 288_264, 62.323, None),
    ('ID', 2, 400_764, 87.344, None),
    ('ID+AS', 2, 364_656, 79.119, None),
    ('ID+CS', 2, 316_344, 67.836, None),
    ('IntraGroup', 2, 305_004, 65.317, None),
]


@pytest.fixture(scope='module')
def golden() -> dict[str, Tensor]:
    return {key: torch.from_numpy(value) for key, value in np.load(GOLDEN).items()}


@pytest.fixture(scope='module')
def author_weights(golden: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix('w:'): value for key, value in golden.items() if key.startswith('w:')}


@pytest.fixture
def net(author_weights: dict[str, Tensor]) -> ASID:
    net = ASID(upscale=2)
    net.load_state_dict(author_weights)
    return net.eval()


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float32, 5e-5), (torch.float64, 1e-9)])
def test_golden(net: ASID, golden: dict[str, Tensor], dtype: torch.dtype, tolerance: float):
    y = net.to(dtype)(golden['x'].to(dtype))
    assert y.shape == (1, 3, 74, 104)
    assert (y - golden['y']).abs().max() < tolerance


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize('name', ABLATIONS)
def test_ablations_equal_the_plain_reference(name: str):
    """Not square and not 64x64, where SAM's and CAM's global grids would coincide."""
    torch.manual_seed(0)
    net = ASID(num_feat=16, num_block=2, upscale=3, **ABLATIONS[name]).double().eval()
    for parameter in net.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    x = torch.rand(2, 3, 17, 30, dtype=torch.float64)
    for attention in (reference.PIXEL_BY_PIXEL, reference.VECTORISED):
        expected = reference.asid(x, net.state_dict(), 3, ABLATIONS[name].get('sharing', 'inter'), attention)
        assert (net(x) - expected).abs().max() < 1e-12


def test_the_sizes_of_every_variant_are_checked():
    assert {(name, upscale) for name, upscale, *_ in SIZES} == {
        (v.name, k) for v in NETWORKS.values() for k in v.upscales
    }


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'upscale', 'parameters', 'paper', 'full'), SIZES)
def test_sizes(name: str, upscale: int, parameters: int, paper: float | None, full: float | None):
    with torch.device('meta'):
        net = build_network(NETWORKS[name].network_g(upscale))
    size = input_size(upscale)
    assert count_parameters(net) == parameters
    if paper:
        assert round(paper_flops(net, *size) / 1e9, 3) == paper
    if full:
        assert round(multiply_adds(net, *size) / 1e9, 3) == full


@pytest.mark.parametrize('arguments', ABLATIONS.values(), ids=ABLATIONS)
def test_every_parameter_gets_a_gradient(arguments: dict):
    net = ASID(num_feat=16, num_block=2, **arguments)
    net(torch.rand(1, 3, 16, 16)).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@torch.no_grad()
@pytest.mark.parametrize('size', [(1, 1), (1, 40), (7, 9), (16, 16), (33, 64)])
@pytest.mark.parametrize('upscale', [2, 3, 4])
def test_any_size_and_batch(size: tuple[int, int], upscale: int):
    net = ASID(num_feat=16, num_block=1, upscale=upscale).eval()
    x = torch.rand(3, 3, *size)
    y = net(x)
    assert y.shape == (3, 3, size[0] * upscale, size[1] * upscale)
    torch.testing.assert_close(y[1:2], net(x[1:2]))


def photograph() -> Tensor:
    return torch.from_numpy(skimage.data.astronaut()[64:104, 176:224]).permute(2, 0, 1)[None] / 255


PICTURES = {
    'black': torch.zeros(1, 3, 20, 24),
    'white': torch.ones(1, 3, 20, 24),
    'noise': torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0)),
    'photograph': photograph(),
}


@torch.no_grad()
@pytest.mark.parametrize('picture', PICTURES)
# bfloat16 has three bits less than float16, so eight times its error
@pytest.mark.slow
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float16, 0.02), (torch.bfloat16, 0.15)])
def test_half_precision_is_near_float32(net: ASID, picture: str, dtype: torch.dtype, tolerance: float):
    x = PICTURES[picture]
    expected = net(x)
    y = net.to(dtype)(x.to(dtype)).float()
    assert (y - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize('picture', PICTURES)
def test_autocast_is_near_float32(net: ASID, picture: str):
    expected = net(PICTURES[picture])
    with torch.autocast('cpu', torch.float16):
        y = net(PICTURES[picture])
    assert (y.float() - expected).abs().max() < 0.02 * expected.abs().max()


@torch.no_grad()
@pytest.mark.parametrize('factor', [0, 1e-5, 1e3])
def test_float16_channel_attention_of_extreme_queries(net: ASID, factor: float):
    """Sums of squares beyond 65504 overflow in float16, tiny ones vanish: F.normalize gives nan, hence black frames."""
    attention = net.body[0].cam.meso_attn
    attention.qkv.weight *= factor
    x = torch.randn(1, 16, 16, 48)
    nothing = torch.zeros_like(x)
    expected = attention(x, nothing)
    y = attention.half()(x.half(), nothing.half()).float()
    assert y.isfinite().all()
    assert (y - expected).abs().max() <= 0.02 * expected.abs().max() + 1e-6


def test_channel_attention_of_zeros_has_a_gradient(net: ASID):
    x = torch.zeros(1, 16, 16, 48, requires_grad=True)
    net.body[0].cam.meso_attn(x, torch.zeros_like(x)).sum().backward()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in net.body[0].cam.meso_attn.parameters())


def test_author_layout_with_junk_loads_strictly(author_weights: dict[str, Tensor], golden: dict[str, Tensor]):
    junk = {'total_ops': torch.zeros(1), 'block1.esa.total_params': torch.zeros(1)}
    net = ASID(upscale=2)
    assert not any(net.load_state_dict(author_weights | junk, strict=True))
    with torch.no_grad():
        assert (net(golden['x']) - golden['y']).abs().max() < 5e-5


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'upscale': 4}, 'upscale is 2 there and 4 here'),
        ({'num_block': 8}, 'num_block is 3 there and 8 here'),
        ({'sharing': 'intra'}, "sharing is 'inter' there and 'intra' here"),
    ],
)
@pytest.mark.parametrize('layout', ['asid', 'authors'])
def test_weights_of_another_network_are_refused(
    author_weights: dict[str, Tensor], net: ASID, layout: str, arguments: dict, message: str
):
    weights = author_weights if layout == 'authors' else net.state_dict()
    with pytest.raises(RuntimeError, match=message):
        ASID(**arguments).load_state_dict(weights)


def test_other_weights_load_when_not_strict(net: ASID, tmp_path: Path):
    """As `load_state_dict` does it, and MMEngine's loader: what fits is taken, ASID-D8 begins as ASID."""
    deep = ASID(num_block=8)
    missing, unexpected = deep.load_state_dict(net.state_dict(), strict=False)
    assert not unexpected and all(key.startswith('body.') and int(key.split('.')[1]) > 2 for key in missing)
    assert torch.equal(deep.body[2].conv.weight, net.body[2].conv.weight)
    torch.save(net.state_dict(), tmp_path / 'a.pth')
    deep = ASID(num_block=8)
    load_checkpoint(deep, str(tmp_path / 'a.pth'), map_location='cpu', strict=False)
    assert torch.equal(deep.body[2].conv.weight, net.body[2].conv.weight)


@pytest.mark.parametrize(
    ('arguments', 'name'),
    [
        ({'sharing': 'all'}, 'sharing'),
        ({'upscale': 0}, 'upscale'),
        ({'num_block': 0}, 'num_block'),
        ({'num_block': 3.5}, 'num_block'),
        ({'num_feat': 50}, 'num_feat'),
        ({'num_feat': 8}, 'num_feat'),
        ({'window_size': 1}, 'window_size'),
        ({'distillation': False}, 'channel_split'),
        ({'distillation': False, 'channel_split': False, 'sharing': 'intra'}, 'sharing'),
    ],
)
def test_impossible_arguments_are_named(arguments: dict, name: str):
    with pytest.raises(ValueError, match=name):
        ASID(**arguments)


def test_registries():
    assert ARCH_REGISTRY.get('ASID') is ASID
    assert type(MODELS.build({'type': 'ASID', 'num_block': 1})) is ASID
    blocks = ('IDB', 'LM', 'SAM', 'CAM', 'ESA', 'GFFN')
    assert all(f'asid.{name}' in MODELS and name not in MODELS.module_dict for name in blocks)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.skipif(torch.__version__ < torch.torch_version.TorchVersion('2.9'), reason='needs torch 2.9')
def test_export_keeps_batch_and_size_dynamic():
    small = {'sharing': 'none', 'distillation': False, 'channel_split': False}
    net = ASID(num_feat=16, num_block=3, **small).eval()  # from three blocks on, tracing asserts sizes
    exported = export_any_size(net).module()
    for size in ((2, 3, 21, 34), (1, 3, 1, 1), (3, 3, 40, 16), (1, 3, 16, 65)):
        x = torch.rand(size)
        torch.testing.assert_close(exported(x), net(x), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(('amp', 'tolerance'), [(False, 1e-5), (True, 1e-2)])
def test_compile_has_no_graph_break(amp: bool, tolerance: float):
    torch.manual_seed(0)
    net = ASID(num_feat=16, num_block=1, sharing='intra')
    compiled = torch.compile(net, fullgraph=True, backend='aot_eager')
    x = torch.rand(2, 3, 20, 24)
    with torch.autocast('cpu', torch.bfloat16, enabled=amp):
        torch.testing.assert_close(compiled(x), net(x), atol=tolerance, rtol=tolerance)
        compiled(x).float().mean().backward()
    assert net.conv_first.weight.grad.abs().sum() > 0

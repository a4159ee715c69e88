"""Kernels that a GPU would start, counted on tensors without content; and operations that oneDNN carries out."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from asid_plugin.archs import ASID, ESA, GFFN, LM, autocast
from asid_plugin.archs.convolution import Conv1x1, DepthwiseConv
from dispatch_counts import Counts, FakeIndexing


class CastTogether(torch.nn.Module):
    """A network as it is called for training under autocast."""

    def __init__(self, net: ASID) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return autocast.call(self.net, x)


def on_a_gpu(net: torch.nn.Module, dtype: torch.dtype | None = None) -> Counts:
    """Count a pass of 16 patches of 64x64 without gradients, on a GPU that is not there."""
    torch.set_autocast_enabled('cuda', dtype is not None)
    torch.set_autocast_dtype('cuda', dtype or torch.bfloat16)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            tensors = {name: torch.empty_like(value, device='cuda') for name, value in net.state_dict().items()}
            tensors |= {name: torch.empty_like(value, device='cuda') for name, value in net.named_buffers()}
            x = torch.empty(16, 3, 64, 64, device='cuda')
            with torch.no_grad(), FakeIndexing(), Counts() as counts:
                torch.func.functional_call(net, tensors, (x,))
    finally:
        torch.set_autocast_enabled('cuda', False)
    return counts


@pytest.mark.slow
def test_launches_of_a_pass_on_a_gpu():
    counts = on_a_gpu(ASID())
    assert counts.launches < 600
    assert counts.by_name['convolution'] == 48, 'a separable projection is one launch for all of its parts'
    assert counts.by_name['clone'] == 42, 'one for each partition'
    assert counts.synchronisations == counts.copies_between_devices == 0


@pytest.mark.slow
def test_launches_of_a_training_step():
    """Tensors of the device `meta` have gradients, too, and take the way of a GPU."""
    net = ASID().to('meta')
    with Counts() as forward:
        y = net(torch.empty(16, 3, 64, 64, device='meta'))
    with Counts() as backward:
        y.abs().mean().backward()
    assert forward.launches == on_a_gpu(ASID()).launches
    assert backward.launches < 1200
    assert forward.synchronisations == backward.synchronisations == 0


@pytest.mark.slow
def test_launches_of_a_pass_under_autocast():
    alone, together = (on_a_gpu(net, torch.bfloat16) for net in (ASID(), CastTogether(ASID())))
    assert alone.by_name['_to_copy'] <= 421
    assert together.by_name['_to_copy'] <= 61
    assert together.by_name['_foreach_copy_'] == 1
    assert together.launches < 700


@torch.no_grad()
@pytest.mark.parametrize('then', ['gelu', 'sigmoid', 'add'])
@pytest.mark.parametrize(
    'layer', [Conv1x1(12, 12), Conv1x1(12, 12, bias=False), DepthwiseConv(12), DepthwiseConv(12, bias=False)]
)
@pytest.mark.parametrize('strided', [False, True])
def test_an_operation_after_a_convolution(layer: torch.nn.Module, then: str, strided: bool):
    """Without gradients by oneDNN, in one operator; with them by PyTorch's own."""
    torch.manual_seed(0)
    x, other = torch.randn(2, 2, 9, 7, 24).unbind() if strided else torch.randn(2, 2, 9, 7, 12).unbind()
    x, other = x[..., :12], other[..., -12:]
    args = (then, other) if then == 'add' else (then,)
    with Counts() as counts:
        y = layer(x, *args)
    with torch.enable_grad():
        expected = layer(x, *args)
    assert counts.by_name == {'_convolution_pointwise': 1}
    assert expected.requires_grad
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-6)
    plain = layer(x)
    functions = {'gelu': torch.nn.functional.gelu, 'sigmoid': torch.sigmoid, 'add': other.add}
    torch.testing.assert_close(y, functions[then](plain), rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize('block', [LM(16), GFFN(16), ESA(16)])
def test_one_pass_over_a_map_for_each_convolution(block: torch.nn.Module):
    """No GELU, sum or sigmoid of a whole map has a pass of its own."""
    with Counts() as counts:
        block(torch.randn(1, 24, 24, 16))
    assert not {'gelu', 'add'} & counts.by_name.keys()


@torch.no_grad()
def test_where_onednn_is_switched_off_nothing_is_asked_of_it():
    net, x = ASID(num_block=1).eval(), torch.rand(1, 3, 16, 16)
    expected = net(x)
    with torch.backends.mkldnn.flags(enabled=False), Counts() as counts:
        y = net(x)
    assert not any('pointwise' in name for name in counts.by_name)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_forward_derivatives_are_not_lost():
    """They are there without gradients, too, and oneDNN's operator has none."""
    torch.manual_seed(0)
    layer, x = Conv1x1(8, 8), torch.randn(1, 4, 4, 8)
    _, derivative = torch.func.jvp(lambda z: layer(z, 'gelu'), (x,), (torch.ones_like(x),))
    step = 1e-3
    expected = (layer(x + step, 'gelu') - layer(x - step, 'gelu')) / (2 * step)
    torch.testing.assert_close(derivative, expected, rtol=0, atol=1e-3)


def test_half_precision_without_content():
    net = ASID(num_block=1).to('meta', torch.bfloat16)
    assert net(torch.empty(1, 3, 16, 16, device='meta', dtype=torch.bfloat16)).shape == (1, 3, 32, 32)

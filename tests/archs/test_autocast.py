"""Weights that are cast together for autocast: the same numbers as without, from fewer launches."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from asid_plugin.archs import ASID, OmniSR, autocast
from dispatch_counts import Counts

NETWORKS = {
    'inter': lambda: ASID(num_block=2),
    'none': lambda: ASID(num_block=1, sharing='none', upscale=4),
    'Baseline': lambda: ASID(num_block=1, sharing='none', distillation=False, channel_split=False),
    'Omni-SR': lambda: OmniSR(num_feat=16, num_block=1),
}


def step(net: nn.Module, call: Callable[[Tensor], Tensor], dtype: torch.dtype) -> list[Tensor]:
    """The output of a pass under autocast, and the gradients of a loss of it."""
    net.zero_grad()
    with torch.autocast('cpu', dtype):
        y = call(torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(1)))
    y.float().square().mean().backward()
    return [y.detach(), *(weight.grad.clone() for weight in net.parameters())]


@pytest.mark.slow
@pytest.mark.parametrize(('kind', 'dtype'), [*((kind, torch.bfloat16) for kind in NETWORKS), ('inter', torch.float16)])
def test_outputs_and_gradients_are_those_of_autocast_alone(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = NETWORKS[kind]()
    for weight in net.parameters():  # as large as those of a network that has been trained, gates are open
        nn.init.normal_(weight, std=0.1)
    alone, together = (step(net, call, dtype) for call in (net, lambda x: autocast.call(net, x)))
    assert all(weight.dtype == torch.float32 for weight in net.parameters())
    torch.testing.assert_close(together, alone, rtol=0, atol=0)


@pytest.mark.parametrize('net', [nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), ASID(num_block=1)])
def test_other_networks_and_float32_are_left_alone(net: nn.Module) -> None:
    x = torch.rand(1, 3, 16, 16)
    with torch.autocast('cpu', torch.bfloat16, enabled=not isinstance(net, ASID)), Counts() as counts:
        autocast.call(net, x)
    assert '_foreach_copy_' not in counts.by_name


def test_a_weight_that_is_not_used_has_no_gradient() -> None:
    """As with autocast alone; zeros would let an optimizer's weight decay and momentum change it."""
    net = ASID(num_block=1)
    net.body[0].esa = nn.Identity()
    net.register_module('unused', nn.Linear(2, 2))
    with torch.autocast('cpu', torch.bfloat16):
        autocast.call(net, torch.rand(1, 3, 16, 16)).float().mean().backward()
    assert net.get_parameter('unused.weight').grad is None
    assert net.get_parameter('conv_first.weight').grad is not None

"""The yardsticks that we wrote ourselves are of the published sizes."""

import pytest
import torch
from torch import nn

from asid_plugin.archs import ASID
from asid_plugin.cost.complexity import count_parameters, counted_multiply_adds, input_size, multiply_adds
from small_cnns import IMDN, RFDN

# Scale, thousands of parameters, LR image, G of multiply-adds: IMDN's from its paper, RFDN's from the report of the
# NTIRE 2022 challenge on efficient super-resolution, whose baseline it was.
PUBLISHED = [
    (IMDN, 2, 694, input_size(2), 158.8),
    (IMDN, 3, 703, input_size(3), 71.5),
    (IMDN, 4, 715, input_size(4), 40.9),
    (RFDN, 4, 433, (256, 256), 27.1),
]


@pytest.mark.parametrize(('build', 'upscale', 'thousands', 'size', 'giga'), PUBLISHED)
def test_sizes_are_the_published_ones(
    build: type[nn.Module], upscale: int, thousands: int, size: tuple[int, int], giga: float
):
    with torch.device('meta'):
        net = build(upscale)
    assert count_parameters(net) // 1000 == thousands
    assert counted_multiply_adds(net, *size) / 1e9 == pytest.approx(giga, rel=0.005)


@pytest.mark.slow
@pytest.mark.parametrize('build', [IMDN, RFDN])
def test_every_parameter_is_used_and_the_layouts_agree(build: type[nn.Module]):
    torch.manual_seed(0)
    net, x = build(2), torch.rand(1, 3, 64, 56)
    y = net(x)
    assert y.shape == (1, 3, 128, 112)
    y.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    turned = net.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(turned, y, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_pytorchs_count_of_an_asid_is_near_the_papers():
    """Ours has value and output projection in one product, so it runs fewer."""
    net, size = ASID(num_feat=16, num_block=2, upscale=4), (32, 48)
    assert 0.8 < counted_multiply_adds(net.eval(), *size) / multiply_adds(net, *size) < 1.02

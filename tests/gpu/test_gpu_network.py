"""The network where it computes: exact in float32, near it in less, compiled, and in one process of a group.

These need torch and numpy alone, so they run on any machine with a GPU: `pytest -m gpu tests/gpu`.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, distributed
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from asid_plugin.archs import ASID
from asid_plugin.tf32 import allow_tf32

CUDA = pytest.param('cuda', marks=pytest.mark.gpu)
DEVICES = ['cpu', CUDA]
GOLDEN = Path(__file__).parents[1] / 'fixtures' / 'asid_x2.npz'


@pytest.fixture(scope='module')
def golden() -> dict[str, Tensor]:
    return {key: torch.from_numpy(value) for key, value in np.load(GOLDEN).items()}


@pytest.fixture
def net(golden: dict[str, Tensor]) -> ASID:
    net = ASID(upscale=2)
    net.load_state_dict({key.removeprefix('w:'): value for key, value in golden.items() if key.startswith('w:')})
    return net.eval()


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float32, 5e-5), (torch.float64, 1e-9)])
def test_golden_on(net: ASID, golden: dict[str, Tensor], dtype: torch.dtype, tolerance: float, device: str):
    y = net.to(device, dtype)(golden['x'].to(device, dtype)).cpu()
    assert y.shape == (1, 3, 74, 104)
    assert (y - golden['y']).abs().max() < tolerance


@pytest.fixture
def _tf32() -> Iterator[None]:
    allow_tf32(True)
    yield
    allow_tf32(False)
    assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32


@torch.no_grad()
@pytest.mark.usefixtures('_tf32')
@pytest.mark.parametrize('device', DEVICES)
def test_golden_with_tf32(net: ASID, golden: dict[str, Tensor], device: str):
    """Ten bits of mantissa in each factor: as near as float16's, and on a GPU that has TF32 not exact."""
    error = (net.to(device)(golden['x'].to(device)).cpu() - golden['y']).abs().max()
    assert error < 0.02
    if device == 'cuda' and torch.cuda.get_device_capability() >= (8, 0):
        assert error > 5e-5, 'TF32 was allowed, and the result is that of float32'


@pytest.mark.gpu
@torch.no_grad()
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float16, 0.02), (torch.bfloat16, 0.15)])
@pytest.mark.parametrize('autocast', [False, True])
def test_half_precision_on_a_gpu(
    net: ASID, golden: dict[str, Tensor], dtype: torch.dtype, tolerance: float, autocast: bool
):
    net, x, expected = net.cuda(), golden['x'].cuda(), golden['y']
    with torch.autocast('cuda', dtype, enabled=autocast):
        y = (net if autocast else net.to(dtype))(x if autocast else x.to(dtype)).float().cpu()
    assert (y - expected).abs().max() < tolerance * expected.abs().max()


def gradients(net: torch.nn.Module, x: Tensor) -> list[Tensor]:
    net.zero_grad()
    F.l1_loss(net(x), torch.zeros_like(x).repeat(1, 1, 2, 2)).backward()
    return [parameter.grad.clone() for parameter in net.parameters()]


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize('mode', ['default', 'reduce-overhead'])
def test_compiled_equals_eager(net: ASID, mode: str):
    """Forward and gradients, three times, so that a CUDA graph has been recorded and is replayed."""
    x = torch.rand(4, 3, 32, 48, device='cuda')
    net = net.cuda().train()
    expected_y, expected = net(x).detach(), gradients(net, x)
    net.compile(mode=mode)
    for _ in range(3):
        torch.compiler.cudagraph_mark_step_begin()
        y = net(x).detach().clone()
        torch.compiler.cudagraph_mark_step_begin()
        found = gradients(net, x)
        torch.testing.assert_close(y, expected_y, atol=1e-4, rtol=1e-4)
        for one, other in zip(found, expected, strict=True):
            assert (one - other).norm() < 1e-3 * other.norm() + 1e-7


@pytest.mark.slow
@pytest.mark.parametrize(('device', 'backend'), [('cpu', 'gloo'), pytest.param('cuda', 'nccl', marks=pytest.mark.gpu)])
def test_one_rank_trains_as_none(net: ASID, device: str, backend: str, tmp_path: Path):
    """One process in a group of NCCL: the gradients are those without a group."""
    x = torch.rand(2, 3, 16, 24, device=device)
    net = net.to(device)
    expected = gradients(net, x)
    distributed.init_process_group(backend, init_method=f'file://{tmp_path / "group"}', rank=0, world_size=1)
    try:
        found = gradients(DistributedDataParallel(net), x)
    finally:
        distributed.destroy_process_group()
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() < 1e-4 * other.norm() + 1e-7

"""Optimizers' states on a GPU that is not there, and the broadcasts of two processes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_ranks import together
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from asid_plugin.compat.gpu import compute_as_built


def read_to_gpu(kind: type[torch.optim.Optimizer], parameters: list[nn.Parameter], **how: bool) -> dict[str, Any]:
    """The state of an optimizer after three steps, all of it on the GPU, as BasicSR reads it."""
    optimizer = kind(parameters, **how)
    for parameter in parameters:
        moments = {name: torch.zeros(3, device='cuda') for name in ('exp_avg', 'exp_avg_sq')}
        optimizer.state[parameter] = {'step': torch.tensor(3.0, device='cuda'), **moments}
    return optimizer.state_dict()


@pytest.mark.parametrize('kind', [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize('saved', [{}, {'fused': True}, {'capturable': True}, {'foreach': False}], ids=str)
@pytest.mark.parametrize(
    ('built', 'device'),
    [({}, 'cpu'), ({'fused': True}, 'cuda'), ({'fused': False}, 'cpu'), ({'capturable': True}, 'cuda')],
    ids=str,
)
def test_steps_are_counted_where_the_optimizer_wants_them(kind: Any, saved: dict, built: dict, device: str) -> None:
    with FakeTensorMode():
        parameters = [nn.Parameter(torch.zeros(3, device='cuda')) for _ in range(2)]
        state = read_to_gpu(kind, parameters, **saved)
        optimizer = kind(parameters, **built)
        compute_as_built(state, optimizer)
        optimizer.load_state_dict(state)
        fresh = kind(parameters, **built).param_groups[0]
    for name in ('fused', 'foreach', 'capturable'):
        assert optimizer.param_groups[0][name] == fresh[name]
    assert {entries['step'].device.type for entries in optimizer.state.values()} == {device}
    assert {entries['exp_avg'].device.type for entries in optimizer.state.values()} == {'cuda'}


def test_optimizers_without_such_choices_are_left_alone() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.LBFGS([weight])
    state = optimizer.state_dict()
    compute_as_built(state, optimizer)
    assert state == optimizer.state_dict()


BROADCASTS = """
import asid_plugin  # before BasicSR
import torch
from basicsr.utils.dist_util import init_dist
from asid_plugin.archs import ASID, OmniSR
from asid_plugin.models import ASIDModel
init_dist('pytorch')
rank = torch.distributed.get_rank()
model = ASIDModel.__new__(ASIDModel)
model.opt, model.device = {'dist': True, 'num_gpu': 0}, torch.device('cpu')
for plain in (ASID(num_feat=16, num_block=1, upscale=2), OmniSR(num_feat=16, num_block=1, upscale=2)):
    with_norm = torch.nn.Sequential(plain, torch.nn.BatchNorm2d(3, affine=False))
    net = model.model_to_device(with_norm)
    indices = {name: buffer for name, buffer in plain.named_buffers()}
    assert indices and all(name.endswith('position_index') for name in indices)
    for buffer in with_norm.buffers():
        buffer.mul_(1 - rank)
    with_norm[1].num_batches_tracked += 10 * rank
    net(torch.rand(1, 3, 16, 16))
    print([int(buffer.max()) > 0 for buffer in indices.values()], int(with_norm[1].num_batches_tracked), flush=True)
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason='gloo on one GPU')
@pytest.mark.slow
def test_constants_are_not_broadcast(tmp_path: Path) -> None:
    """The second process has position indices of 0, which it keeps; of BatchNorm's buffers it gets the first one's."""
    done = together([tmp_path, tmp_path], '-c', BROADCASTS)
    for process, larger in zip(done, (True, False), strict=True):
        assert process.returncode == 0, process.stderr[-2000:]
        assert process.stdout == f'{[larger] * 6} 1\n{[larger] * 2} 1\n'

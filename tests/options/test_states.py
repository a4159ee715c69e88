"""A training state, held against the network and the optimizer that it is for."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import asid_plugin  # noqa: F401  # before basicsr

# isort: split
from basicsr.utils.registry import ARCH_REGISTRY

from asid_plugin.options.schema import SCHEDULERS
from asid_plugin.options.states import check_state


class Frozen(nn.Module):
    """A network of which one parameter is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(3), requires_grad=False)
        self.conv = nn.Conv2d(3, 12, 3)


@pytest.fixture
def opt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setitem(ARCH_REGISTRY._obj_map, 'Frozen', Frozen)
    return {
        'is_train': True,
        'model_type': 'ASIDModel',
        'network_g': {'type': 'Frozen'},
        'path': {'resume_state': str(tmp_path / '1.state')},
        'train': {
            'optim_g': {'type': 'AdamW', 'lr': 1},
            'scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [300]},
        },
    }


def save_state(opt: dict[str, Any], *weights: nn.Parameter, **how: bool) -> None:
    """Write the state after one step on these weights."""
    optimizer = torch.optim.AdamW(weights, lr=1, **how)
    scheduler = SCHEDULERS['CosineAnnealingRestartLR'](optimizer, periods=[300])
    sum(weight.sum() for weight in weights).backward()
    optimizer.step()
    states = {'optimizers': [optimizer.state_dict()], 'schedulers': [scheduler.state_dict()]}
    torch.save({'epoch': 0, 'iter': 1, **states}, opt['path']['resume_state'])


def test_weights_that_are_not_trained_have_no_state(opt: dict[str, Any]):
    save_state(opt, *Frozen().conv.parameters())
    assert [*check_state(opt)] == []


@pytest.mark.parametrize('shapes', [[(12, 3, 3, 3)], [(12, 3, 3, 3), (11,)], [(3,), (12, 3, 3, 3), (12,)]])
def test_a_state_of_other_weights_is_refused(opt: dict[str, Any], shapes: list[tuple[int, ...]]):
    save_state(opt, *(nn.Parameter(torch.zeros(shape)) for shape in shapes))
    [problem] = check_state(opt)
    assert str(problem).startswith(f'path: resume_state: {opt["path"]["resume_state"]} is not the state of such a')


@pytest.mark.parametrize(('model', 'checked'), [('SRModel', True), ('SwinIRModel', True), ('SRGANModel', False)])
def test_models_with_optimizers_of_their_own_are_left_alone(opt: dict[str, Any], model: str, checked: bool):
    save_state(opt, nn.Parameter(torch.zeros(1)))
    assert bool([*check_state(opt | {'model_type': model})]) is checked


@pytest.mark.parametrize('saved', [{}, {'fused': True}], ids=str)
@pytest.mark.parametrize('built', [{}, {'fused': True}], ids=str)
def test_optimizers_that_are_fused_are_checked_alike(opt: dict[str, Any], saved: dict, built: dict):
    opt['train']['optim_g'] |= built
    save_state(opt, *Frozen().conv.parameters(), **saved)
    assert [*check_state(opt)] == []
    save_state(opt, nn.Parameter(torch.zeros(11)), **saved)
    assert len([*check_state(opt)]) == 1

"""A training that is interrupted and resumed: the same samples, weights, metrics and labels as without."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr.data.data_sampler import EnlargedSampler
from test_model import make_model, run, step

from asid_plugin.errors import ASIDError
from campaigns.kills import SETTINGS, Kill, Training

BEST = {
    'val': {'psnr': {'better': 'higher', 'val': 31.5, 'iter': 3}, 'ssim': {'better': 'higher', 'val': 0.5, 'iter': 3}}
}


def read(folder: Path, iteration: int) -> dict[str, Any]:
    path = folder / 'experiments' / 'tiny' / 'training_states' / f'{iteration}.state'
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def resumed(options: dict, tmp_path: Path, state: dict[str, Any], **path: Any) -> Any:
    """A model that has resumed from a state, of iteration 2 unless that says otherwise."""
    options['path'] |= path
    model = make_model(options, tmp_path)
    optimizers, schedulers = ([entry.state_dict() for entry in given] for given in (model.optimizers, model.schedulers))
    model.resume_training({'epoch': 0, 'iter': 2, 'optimizers': optimizers, 'schedulers': schedulers} | state)
    return model


@pytest.mark.slow
@pytest.mark.parametrize('setting', SETTINGS[::2], ids=lambda setting: setting.name)
def test_killed_and_resumed_is_as_undisturbed(tmp_path: Path, setting: Any) -> None:
    """Killed in the first save, and then between the state of iteration 4 and its metrics: bit for bit the same end."""
    training = Training(tmp_path / 'run', setting)
    for save, states in ((1, []), (5, [2, 4])):
        assert training.start(Kill(save=save, event=3))[0] < 0
        assert training.states() == states
    end = training.finish()
    assert (end.end, end.text) == ('done', '')


@pytest.mark.slow
def test_the_last_lines_of_a_training(options: dict, tmp_path: Path) -> None:
    """Five iterations, validated after the third and at the end; the state of the last knows of that, and its place."""
    options['train']['total_iter'] = 5
    options['logger']['save_checkpoint_freq'] = 1
    options['val']['save_img'] = True
    log = run(tmp_path, 'train', options)
    assert re.findall(r'eta: (.*?),', log)[-1] == '0:00:00'
    assert re.findall(r'# psnr: [\d.]+\tBest: [\d.]+ @ (\d+) iter', log) == ['3', '5']
    images = sorted(path.name for path in tmp_path.rglob('visualization/0/*'))
    assert images == ['0_3.png', '0_5.png']
    state = read(tmp_path, 5)
    assert state['validated'] == 5 and state['best_metric_results']['val']['psnr']['iter'] == 5
    assert state['place'] == {'samples': 4, 'total': 8, 'seed': 0}
    assert read(tmp_path, 4)['validated'] == 3

    log = run(tmp_path, 'train', options | {'train': options['train'] | {'total_iter': 6}}, '--auto_resume')
    assert 'Epoch 2 continues after 4 of its 8 samples.' in log
    assert len(re.findall(r'iter: +\d+, lr', log)) == 1
    best = max(read(tmp_path, 5)['best_metric_results']['val']['psnr']['val'], *_psnr(log))
    assert read(tmp_path, 6)['best_metric_results']['val']['psnr']['val'] == pytest.approx(best, abs=1e-4)


def _psnr(log: str) -> list[float]:
    return [float(figure) for figure in re.findall(r'# psnr: ([\d.]+)', log)]


def test_a_state_of_0_1_0(options: dict, tmp_path: Path) -> None:
    """It has no place: iteration 5 is the second of the third epoch of two batches, the sampler's next is the last."""
    sampler = EnlargedSampler([None] * 4, 1, 0, 2)
    model = resumed(options, tmp_path, {'epoch': 2, 'iter': 5})
    sampler.set_epoch(2)
    assert (sampler.trained, model.iteration, model.validated) == (4, 5, 5)
    assert not hasattr(model, 'best_metric_results')


@pytest.mark.parametrize(
    ('options_of_metrics', 'kept'),
    [({}, True), ({'better': 'lower'}, False), ({'type': 'calculate_ssim'}, True)],
)
def test_the_best_metrics_come_back(options: dict, tmp_path: Path, options_of_metrics: dict, kept: bool) -> None:
    options['val']['metrics']['psnr'] |= options_of_metrics
    model = resumed(options, tmp_path, {'best_metric_results': BEST, 'validated': 2})
    assert getattr(model, 'best_metric_results', None) == (BEST if kept else None)
    step(model)
    model.save(0, 4)
    state = torch.load(tmp_path / 'training_states' / '4.state', weights_only=True)
    assert state.get('best_metric_results') == (BEST if kept else None)


@pytest.mark.parametrize(
    'best', [3, {'val': 3}, {'val': {}}, {'val': {'psnr': 3, 'ssim': 3}}, {'val': BEST['val'] | {'psnr': {'val': 'x'}}}]
)
def test_best_metrics_that_are_none(options: dict, tmp_path: Path, best: Any) -> None:
    model = resumed(options, tmp_path, {'best_metric_results': best, 'validated': 2})
    assert not hasattr(model, 'best_metric_results')


def test_a_damaged_place(options: dict, tmp_path: Path) -> None:
    with pytest.raises(ASIDError, match='a.state is not a complete training state: its place in the epoch is'):
        resumed(options, tmp_path, {'place': {'samples': -1, 'total': 8, 'seed': 0}}, resume_state='a.state')


@pytest.mark.slow
@pytest.mark.parametrize('train', [{}, {'amp': 'fp16', 'grad_clip': 1e-2, 'accumulate': 2}], ids=str)
@pytest.mark.parametrize(('before', 'after'), [(True, True), (None, True), (True, None)])
def test_an_optimizer_that_is_fused_or_no_longer(
    options: dict, tmp_path: Path, before: bool | None, after: bool | None, train: dict
) -> None:
    """States without `fused`, such as those of 0.1.0, resume with it, and the reverse: the option file decides."""
    models = []
    for fused in (before, after):
        options['train']['optim_g'] = {'type': 'AdamW', 'lr': 1e-3, 'fused': fused}
        models.append(make_model(options, tmp_path, **train))
    first, second = models
    step(first)
    state = {'epoch': 0, 'iter': 1, 'optimizers': [first.optimizer_g.state_dict()], 'scaler': first.scaler.state_dict()}
    if not train:
        del state['scaler']
    second.net_g.load_state_dict(first.net_g.state_dict())
    second.resume_training(deepcopy(state | {'schedulers': [entry.state_dict() for entry in first.schedulers]}))
    assert second.optimizer_g.param_groups[0]['fused'] is after
    ends = [step(model) for model in models]
    for name, value in ends[0].items():
        if before == after:
            assert torch.equal(ends[1][name], value), name
        else:
            torch.testing.assert_close(ends[1][name], value, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_soap_resumes_bit_for_bit(options: dict, tmp_path: Path) -> None:
    """Four steps, the eigenbases updated after each second one, against two, a state in a file, and two more."""
    pytest.importorskip('pytorch_optimizer')
    options['train']['optim_g'] = {'type': 'SOAP', 'lr': 1e-3, 'precondition_frequency': 2}
    whole, first, second = (make_model(options, tmp_path) for _ in range(3))
    for _ in range(2):
        step(whole)
        step(first)
    state = {'epoch': 0, 'iter': 2, 'optimizers': [first.optimizer_g.state_dict()]}
    torch.save(state | {'schedulers': [entry.state_dict() for entry in first.schedulers]}, tmp_path / '2.state')
    second.net_g.load_state_dict(first.net_g.state_dict())
    second.resume_training(torch.load(tmp_path / '2.state', weights_only=True))
    for _ in range(2):
        step(whole)
        end = step(second)
    for name, value in whole.net_g.state_dict().items():
        assert torch.equal(end[name], value), name


def test_other_data_begin_the_epoch_anew(options: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sampler = EnlargedSampler([None] * 5, 1, 0, 2)
    model = resumed(options, tmp_path, {'place': {'samples': 4, 'total': 8, 'seed': 9}, 'validated': 2})
    sampler.set_epoch(0)
    assert (sampler.trained, sampler.seed) == (0, 9)
    assert model.iteration == 2


def test_an_interrupted_validation_is_made_again(options: dict, tmp_path: Path) -> None:
    """And its metrics are added to the state that was resumed, but not to that of another experiment."""
    for states, written in ((tmp_path / 'other', []), (tmp_path / 'training_states', ['3.state'])):
        state = {'iter': 3, 'validated': 0, 'best_metric_results': BEST}
        model = resumed(options, tmp_path, state, resume_state=str(states / '3.state'))
        assert model.validated == 3
        assert model.best_metric_results['val']['psnr'] == BEST['val']['psnr']
        assert [path.name for path in (tmp_path / 'training_states').glob('*.state')] == written
    again = torch.load(tmp_path / 'training_states' / '3.state', weights_only=True)
    assert again['validated'] == 3 and again['best_metric_results']['val']['psnr'] == BEST['val']['psnr']

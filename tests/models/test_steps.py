"""Steps of ASIDModel as a GPU likes them: few launches, no waiting, and what follows from looking at losses later."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from basicsr.models.base_model import BaseModel
from test_model import batch, make_model, step
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

import forked
from asid_plugin.models import ASIDModel
from asid_plugin.models.asid_model import OutOfMemoryError
from asid_plugin.models.divergence import MOST_OVERFLOWS, DivergedError, not_finite
from dispatch_counts import counted

NAN, INF = float('nan'), float('inf')
TF32 = {'tf32': True}


def fed(model: ASIDModel, iteration: int, value: float = 0.0) -> None:
    """A step on a batch of whose ground truth one number is larger by a value."""
    data = batch()
    data['gt'][0, 0, 0, 0] += value
    model.feed_data(data)
    model.optimize_parameters(iteration)


def fused(options: dict) -> dict:
    """An optimizer that looks at no step count, as on a GPU none does."""
    options['train']['optim_g']['fused'] = True
    return options


@pytest.mark.slow
@pytest.mark.parametrize(
    'train',
    [{'ema_decay': 0.9}, {'amp': 'fp16', 'grad_clip': 1.0}, {'amp': 'bf16', 'accumulate': 2, 'tf32': True}],
    ids=str,
)
def test_a_step_waits_for_nothing(options: dict, tmp_path: Path, train: dict) -> None:
    """The log looks once at the losses, wherever they are by then."""
    train |= {'fft_opt': {'type': 'FFTLoss', 'loss_weight': 0.1}}
    model = make_model(fused(options), tmp_path, **train)
    for iteration in (1, 2):
        model.feed_data(batch())
        assert counted(model.optimize_parameters, iteration).synchronisations == 0
    assert set(model.get_current_log()) == {'l_pix', 'l_fft'}


def test_a_batch_is_copied_while_the_program_goes_on(options: dict, tmp_path: Path) -> None:
    model = make_model(options, tmp_path)
    model.device = torch.device('meta')
    counts = counted(model.feed_data, batch())
    assert (counts.copies_between_devices, counts.blocking_copies) == (2, 0)


def test_averaging_takes_two_launches_and_gives_basicsrs_numbers(options: dict, tmp_path: Path) -> None:
    model = make_model(options, tmp_path, ema_decay=0.999)
    step(model, 3)
    before = {name: value.clone() for name, value in model.net_g_ema.state_dict().items()}
    BaseModel.model_ema(model, 0.999)
    expected = {name: value.clone() for name, value in model.net_g_ema.state_dict().items()}
    model.net_g_ema.load_state_dict(before)
    assert counted(model.model_ema, 0.999).by_name == {'_foreach_mul_': 1, '_foreach_add_': 1}
    assert all(torch.equal(value, expected[name]) for name, value in model.net_g_ema.state_dict().items())
    assert not torch.equal(expected['conv_first.weight'], before['conv_first.weight'])


def next_step(model: ASIDModel) -> None:
    fed(model, 3)


def last_save(model: ASIDModel) -> None:
    model.save(-1, -1)


def save(model: ASIDModel) -> None:
    model.save(0, 2)


def validate(model: ASIDModel) -> None:
    model.validation([], 2, None)


@pytest.mark.parametrize('look', [ASIDModel.get_current_log, next_step, save, last_save, validate])
@pytest.mark.parametrize('value', [NAN, INF])
def test_a_diverged_training_ends_with_its_iteration(
    options: dict, tmp_path: Path, look: Callable[[ASIDModel], Any], value: float
) -> None:
    model = make_model(options, tmp_path, ema_decay=0.5)
    fed(model, 1)
    model.save(0, 1)
    fed(model, 2, value)
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(DivergedError, match=f'^iteration 2: l_pix is {value}; training stops'):
        look(model)
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.slow
def test_a_diverged_training_is_one_line(options: dict, tmp_path: Path) -> None:
    """The first step ruins the weights, the second loss shows it, and the third iteration is the last."""
    options['train']['optim_g']['lr'] = 1e30
    options['logger'] |= {'print_freq': 100, 'save_checkpoint_freq': 100}
    options['val']['val_freq'] = 100
    (tmp_path / 'options.yml').write_text(yaml.safe_dump(options))
    done = forked.run(['-m', 'asid_plugin', 'train', 'options.yml'], tmp_path)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert re.match(r'error: iteration 2: l_pix is (nan|inf); training stops', last), done.stderr[-2000:]
    assert 'Traceback' not in done.stderr
    assert not [*tmp_path.rglob('*.pth'), *tmp_path.rglob('*.state')]


class Overflowing(nn.Module):
    """A network of one weight whose output is infinite on demand; the gradient stays finite."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))
        self.overflows = False

    def forward(self, lq: Tensor) -> Tensor:
        large = lq.repeat_interleave(2, 2).repeat_interleave(2, 3) * self.weight
        return large + (INF if self.overflows else 0)


def overflowing(options: dict, tmp_path: Path, **train: Any) -> ASIDModel:
    model = make_model(options, tmp_path, **train)
    model.net_g = Overflowing()
    model.optimizer_g = model.optimizers[0] = torch.optim.AdamW(model.net_g.parameters(), lr=0.1)
    return model


def test_one_overflow_in_float16_is_skipped(options: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = overflowing(options, tmp_path, amp='fp16')
    for iteration in range(1, 5):
        before, scale = model.net_g.weight.item(), model.scaler.get_scale()
        model.net_g.overflows = iteration == 2
        fed(model, iteration)
        assert (model.net_g.weight.item() == before) == (iteration == 2)
        assert model.scaler.get_scale() == (scale / 2 if iteration == 2 else scale)
    assert model.get_current_log()['l_pix'] < 1
    model.save(0, 4)
    assert model.watch.overflows == 0


@pytest.mark.parametrize('accumulate', [1, 2])
def test_overflows_that_last_end_the_training(options: dict, tmp_path: Path, accumulate: int) -> None:
    model = overflowing(options, tmp_path, amp='fp16', accumulate=accumulate)
    fed(model, 1)
    model.net_g.overflows = True
    before = model.net_g.weight.item()
    for iteration in range(2, MOST_OVERFLOWS + 2):
        fed(model, iteration)
    with pytest.raises(DivergedError, match=f'^iteration {MOST_OVERFLOWS + 1}: l_pix is inf after 15 such iterations;'):
        fed(model, MOST_OVERFLOWS + 2)
    assert model.net_g.weight.item() == before
    assert model.scaler.get_scale() <= 1


@pytest.mark.slow
def test_weights_that_are_no_numbers_end_a_training_in_float16(options: dict, tmp_path: Path) -> None:
    model = make_model(options, tmp_path, amp='fp16')
    step(model)
    with torch.no_grad():
        model.net_g.conv_up.bias[0] = NAN
    fed(model, 2)
    with pytest.raises(DivergedError, match=r'^iteration 2: weights conv_up.bias are not finite; training stops'):
        model.get_current_log()


def test_weights_are_checked_with_one_wait() -> None:
    weights = {'a': torch.ones(3), 'count': torch.tensor(2), 'b': torch.tensor([1.0, INF]), 'c': torch.tensor(NAN)}
    assert counted(not_finite, weights).synchronisations <= 1
    assert not_finite(weights) == 'b'
    assert not_finite({'a': torch.ones(3), 'count': torch.tensor(2), '_extra_state': 'text'}) is None
    assert not_finite({}) is None


class OwnStep(ASIDModel):
    """A user's model with a step of its own, which ends as BasicSR's models do."""

    def optimize_parameters(self, current_iter: int) -> None:
        losses = self.take_step()
        self.log_dict = self.reduce_loss_dict(losses)


def test_a_subclass_may_log_as_basicsr_does(options: dict, tmp_path: Path) -> None:
    model = make_model(options, tmp_path)
    model.__class__ = OwnStep
    fed(model, 1)
    assert set(model.get_current_log()) == {'l_pix'} and model.get_current_log() is model.log_dict
    model.save(0, 1)
    assert (tmp_path / 'models' / 'net_g_1.pth').is_file()


@pytest.mark.parametrize('amp', ['bf16', None])
def test_nothing_else_is_skipped(options: dict, tmp_path: Path, amp: str | None) -> None:
    model = overflowing(options, tmp_path, amp=amp)
    model.net_g.overflows = True
    fed(model, 1)
    with pytest.raises(DivergedError, match=r'^iteration 1: l_pix is inf; training'):
        fed(model, 2)


@pytest.mark.slow
@pytest.mark.parametrize('amp', [None, 'fp16'])
@pytest.mark.parametrize(('saved', 'built'), [(True, False), (False, True), (True, True)])
def test_an_optimizer_goes_on_as_the_options_say(
    options: dict, tmp_path: Path, amp: str | None, saved: bool, built: bool
) -> None:
    """Fused or not, regardless of the state; torch alone would continue as before and fail under the scaler."""
    for flag, when in ((saved, 'before'), (built, 'after')):
        options['train']['optim_g']['fused'] = flag
        model = make_model(options, tmp_path, amp=amp)
        if when == 'before':
            step(model, 2)
            model.save(0, 2)
            fed(model, 3)
            expected = model.net_g.state_dict()
    model.load_network(model.net_g, str(tmp_path / 'models' / 'net_g_2.pth'))
    model.resume_training(torch.load(tmp_path / 'training_states' / '2.state', weights_only=True))
    fed(model, 3)
    assert model.optimizer_g.param_groups[0]['fused'] is built
    assert {state['step'].item() for state in model.optimizer_g.state.values()} == {3}
    for name, value in model.net_g.state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=0 if saved == built else 1e-6, rtol=0)


PLAIN = {'type': 'MSRResNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1, 'upscale': 2}


@pytest.mark.slow
@pytest.mark.parametrize(('network', 'train'), [({}, {}), (PLAIN, {'ema_decay': 0.5})], ids=str)
def test_training_is_compiled_once_and_testing_never(options: dict, tmp_path: Path, network: dict, train: dict) -> None:
    options['network_g'] = network or options['network_g']
    model = make_model(options | {'compile': {'backend': CompileCounter()}}, tmp_path, **train)
    counter = model.opt['compile']['backend']
    step(model)
    assert counter.frame_count == 1
    for side in (16, 24, 32):
        model.feed_data({'lq': torch.rand(1, 3, side, side + 8)})
        model.test()
        assert model.output.shape == (1, 3, 2 * side, 2 * side + 16)
    fed(model, 2)
    assert counter.frame_count == 1


def test_what_is_only_tested_is_not_compiled(options: dict, tmp_path: Path) -> None:
    for train in ({}, {'ema_decay': 0.5}):
        model = make_model(options | {'compile': True}, tmp_path, **train)
        assert model.net_g._compiled_call_impl is not None
        assert (model.tested_net._compiled_call_impl is None) == bool(train)


def test_tf32_is_for_training_alone(options: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, 'basicsr')
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    for train, allowed in (({}, False), (TF32, True)):
        model = make_model(options, tmp_path, **train)
        seen = []
        model.net_g.register_forward_pre_hook(lambda *_, seen=seen: seen.append((matmul.allow_tf32, cudnn.allow_tf32)))
        fed(model, 1)
        model.test()
        fed(model, 2)
        assert seen[0] == seen[-1] == (allowed, allowed)
        assert set(seen[1:-1]) == {(False, False)}
    model.test()
    assert not cudnn.allow_tf32


def too_large(*_: Any) -> None:
    torch.empty(2**50)


def test_out_of_memory_is_one_sentence(options: dict, tmp_path: Path) -> None:
    model = make_model(options, tmp_path)
    fed(model, 1)
    model.net_g.register_forward_pre_hook(too_large)
    right = 'a larger train:accumulate than 1, a smaller batch or gt_size, or train:amp: bf16'
    with pytest.raises(OutOfMemoryError) as raised:
        fed(model, 2)
    assert str(raised.value) == f'iteration 2: out of memory with a batch of 4 at gt_size 32; try {right}'
    model.feed_data({'lq': torch.rand(1, 3, 20, 28)})
    for val, right in (({}, 'val:tile: 64, or val:amp: bf16'), ({'tile': 32, 'amp': 'bf16'}, 'a val:tile below 32')):
        model.opt['val'] |= val
        with pytest.raises(OutOfMemoryError) as raised:
            model.test()
        assert str(raised.value) == f'testing: out of memory at 28x20 pixels; try {right}'


def test_other_errors_are_not_taken_for_a_lack_of_memory(options: dict, tmp_path: Path) -> None:
    model = make_model(options, tmp_path)
    model.feed_data(batch() | {'lq': torch.rand(4, 5, 16, 16)})
    with pytest.raises(RuntimeError, match='channels'):
        model.optimize_parameters(1)

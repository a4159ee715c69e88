"""ASIDModel and MMEngine where they train: the same in every precision, resumed, compiled, and by launchers."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import fresh

basicsr_models = pytest.importorskip('basicsr.models')

CUDA = pytest.param('cuda', marks=pytest.mark.gpu)
ROOT = Path(__file__).parents[2]
STEPS = 4


@pytest.fixture
def build(options: dict, tmp_path: Path) -> Callable[..., Any]:
    """A function that makes an ASIDModel on a device, as BasicSR's train script would."""

    def model_on(device: str, top: dict[str, Any] | None = None, **train: Any) -> Any:
        opt = deepcopy(options) | (top or {})
        opt['train'] |= train
        opt |= {'num_gpu': int(device == 'cuda'), 'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1}
        opt |= {'root_path': str(tmp_path)}
        opt['path'] |= {name: str(tmp_path / name) for name in ('models', 'training_states', 'visualization')}
        torch.manual_seed(0)
        return basicsr_models.build_model(opt)

    return model_on


def train(model: Any, begin: int = 0, end: int = STEPS) -> dict[str, Tensor]:
    """Steps on batches that depend on the iteration alone; the weights after them, on the CPU."""
    for i in range(begin, end):
        generator = torch.Generator().manual_seed(i)
        lq = torch.rand(4, 3, 16, 16, generator=generator)
        model.feed_data({'lq': lq, 'gt': lq.repeat_interleave(2, 2).repeat_interleave(2, 3)})
        model.optimize_parameters(i + 1)
    return {key: value.detach().cpu().clone() for key, value in model.net_g.state_dict().items()}


def resume(model: Any, other: Any, iteration: int, folder: Path) -> Any:
    """Save a model, and let another, new one go on from there."""
    model.save(0, iteration)
    other.load_network(other.net_g, str(folder / 'models' / f'net_g_{iteration}.pth'))
    state = folder / 'training_states' / f'{iteration}.state'
    other.resume_training(torch.load(state, map_location=other.device, weights_only=True))
    return other


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference of two sets of weights."""
    return max((one[key].double() - other[key].double()).abs().max().item() for key in one)


@pytest.mark.slow
@pytest.mark.parametrize('device', ['cpu', CUDA])
@pytest.mark.parametrize('amp', [None, 'bf16', 'fp16'])
def test_clipped_accumulated_and_resumed(build: Callable, device: str, amp: str | None, tmp_path: Path):
    """Interrupted in the middle or not, the training ends with the same weights."""
    settings = {'grad_clip': 0.1, 'accumulate': 2, 'amp': amp, 'ema_decay': 0.9}
    if device == 'cuda':  # whose sums are not always the same; AdamW would make as much of a tiny gradient as of any
        settings['optim_g'] = {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}
    whole = train(build(device, **settings))
    train(first := build(device, **settings), end=STEPS // 2)
    resumed = resume(first, build(device, **settings), STEPS // 2, tmp_path)
    assert distance(train(resumed, begin=STEPS // 2), whole) < (1e-7 if device == 'cpu' else 1e-5)


@pytest.mark.parametrize('device', ['cpu', CUDA])
def test_adamw_counts_its_steps_on_the_cpu_when_resumed(build: Callable, device: str, tmp_path: Path):
    """Unless it is fused: each look at a count on a GPU would wait for it."""
    train(first := build(device), end=1)
    optimizer = resume(first, build(device), 1, tmp_path).optimizers[0]
    steps = [state['step'] for state in optimizer.state.values()]
    assert steps and set(map(float, steps)) == {1}
    assert {step.device.type for step in steps} == {'cpu'} or optimizer.param_groups[0].get('fused')


@pytest.mark.slow
@pytest.mark.parametrize('device', ['cpu', CUDA])
@pytest.mark.parametrize(('amp', 'loss_apart', 'gradients_apart'), [('bf16', 5e-3, 0.1), ('fp16', 1e-3, 0.05)])
def test_half_precision_begins_as_float32_does(
    build: Callable, device: str, amp: str, loss_apart: float, gradients_apart: float
):
    """The first step's loss and clipped gradients, all in one vector; accumulated over parts of the batch or not."""
    losses, found = [], []
    for settings in ({}, {'amp': amp}, {'amp': amp, 'accumulate': 2}):
        train(model := build(device, grad_clip=0.1, **settings), end=1)
        losses.append(float(model.get_current_log()['l_pix']))
        found.append(torch.cat([parameter.grad.flatten().double() for parameter in model.net_g.parameters()]))
    for loss, gradient in zip(losses[1:], found[1:], strict=True):
        assert loss == pytest.approx(losses[0], rel=loss_apart)
        assert (gradient - found[0]).norm() < gradients_apart * found[0].norm()


@pytest.mark.gpu
def test_gpu_trains_as_the_cpu(build: Callable):
    """The first step's loss is the CPU's, and its gradients are."""
    models = [build(device) for device in ('cpu', 'cuda')]
    for model in models:
        train(model, end=1)
    losses = [float(model.get_current_log()['l_pix']) for model in models]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    for one, other in zip(*(model.net_g.parameters() for model in models), strict=True):
        assert (one.grad - other.grad.cpu()).norm() < 1e-3 * one.grad.norm() + 1e-7


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize('amp', [None, 'bf16'])
def test_compiled_training_is_near_eager(build: Callable, amp: str | None):
    losses = []
    for compiled in (False, True):
        model = build('cuda', {'compile': compiled}, amp=amp)
        train(model)
        losses.append(float(model.get_current_log()['l_pix']))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def launch(folder: Path, *words: str) -> str:
    """Run `asid` by torchrun with one process; returns what it printed."""
    launcher = ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=1', '-m', 'asid_plugin']
    command = [sys.executable, *launcher, *words, '--launcher', 'pytorch']
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {'OMP_NUM_THREADS': '1'}, text=True, capture_output=True, timeout=300
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    return done.stdout + done.stderr


@pytest.mark.gpu
@pytest.mark.slow
def test_a_training_by_one_rank_of_nccl_goes_on(options: dict, tmp_path: Path):
    """With a GPU `asid train --launcher pytorch` takes NCCL; validation, checkpoints and --auto_resume go with it."""
    options['dist_params'] = {'backend': 'nccl', 'port': 29500}
    for total in (3, 6):
        options['train'] |= {'total_iter': total, 'amp': 'bf16'}
        (tmp_path / 'options.yml').write_text(yaml.safe_dump(options))
        log = launch(tmp_path, 'train', '-opt', 'options.yml', '--auto_resume')
    assert 'Resuming training from epoch' in log
    assert re.search(r'# psnr: \d', log)


@pytest.mark.slow
@pytest.mark.parametrize('device', ['cpu', CUDA])
def test_mmengine_trains_with_amp_and_resumes(device: str, tmp_path: Path):
    """By `asid mmengine train --amp`, then once more with `--resume`."""
    pytest.importorskip('mmengine')
    from asid_plugin.prepare import sub_images
    from helpers import TINY, UNFORMATTED, write_pairs

    write_pairs(tmp_path / 'photos', 3, size=96)
    sub_images.prepare(tmp_path / 'photos' / 'GT', tmp_path, 'x', scales=[2], crop_size=64, step=32)
    (tmp_path / 'tiny.py').write_text(
        MMENGINE.format(
            base=ROOT / 'options' / 'mmengine' / 'asid_x2_div2k.py',
            network={key: value for key, value in TINY.items() if key != 'type'},
            root=tmp_path,
        )
    )
    hidden = {'CUDA_VISIBLE_DEVICES': ''} if device == 'cpu' else {}
    command = ['-c', UNFORMATTED, 'mmengine', 'train', 'tiny.py', '--amp', '--resume', '--cfg-options']
    command += ['train_dataloader.dataset.pipeline.1.lq_size=16']
    for iterations in (2, 4):
        done = fresh.run([*command, f'train_cfg.max_iters={iterations}'], tmp_path, os.environ | hidden)
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    assert 'resumed epoch' in done.stdout + done.stderr
    assert (tmp_path / 'work' / 'iter_4.pth').exists()


MMENGINE = """
_base_ = ['{base}']
work_dir = 'work'
model = dict(generator={network})
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root='{root}',
        data_prefix=dict(gt='x_HR_sub.lmdb', lq='x_LR_bicubic_X2_sub.lmdb'),
    ),
)
train_cfg = dict(val_interval=100)
val_dataloader = None
val_cfg = None
val_evaluator = None
test_dataloader = None
test_cfg = None
test_evaluator = None
default_hooks = dict(checkpoint=dict(interval=2, save_best=None), logger=dict(interval=1))
"""

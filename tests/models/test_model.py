"""ASIDModel in BasicSR's own loop and step by step: what it adds to SRModel."""

import json
import logging
import os
import re
import signal
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import yaml
from basicsr.data import build_dataset
from basicsr.models import build_model
from basicsr.utils.options import ordered_yaml
from safetensors import safe_open
from safetensors.torch import load_file
from torch.utils.data import DataLoader

import forked
from asid_plugin.archs import ASID
from asid_plugin.inference.tiling import Windows, tiled
from asid_plugin.layouts.author_layout import to_author_layout
from asid_plugin.models import ASIDModel
from asid_plugin.models.divergence import DivergedError
from forked import together
from helpers import write_pairs


def make_model(options: dict, tmp_path: Path, **train: Any) -> ASIDModel:
    """The model as BasicSR's train script would build it, in this process."""
    options = deepcopy(options)
    options['train'] |= train
    options |= {'num_gpu': 0, 'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1, 'root_path': str(tmp_path)}
    for phase, dataset in options['datasets'].items():
        dataset |= {'phase': phase, 'scale': options['scale']}
    options['path'] |= {name: str(tmp_path / name) for name in ('models', 'training_states', 'visualization')}
    torch.manual_seed(0)
    return build_model(options)


def batch(scale: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        'lq': torch.rand(4, 3, 16, 16, generator=generator),
        'gt': torch.rand(4, 3, 16 * scale, 16 * scale, generator=generator),
    }


def step(model: ASIDModel, iterations: int = 1) -> dict[str, torch.Tensor]:
    for i in range(iterations):
        model.feed_data(batch())
        model.optimize_parameters(i + 1)
    return {key: value.clone() for key, value in model.net_g.state_dict().items()}


def run(folder: Path, name: str, options: dict, *arguments: str, processes: int = 1) -> str:
    """Run `asid train` or `asid test`, in several processes if there are so many; returns what they printed."""
    (folder / 'options.yml').write_text(yaml.dump(options, Dumper=ordered_yaml()[1]))
    launcher = ['--launcher', 'pytorch'] if processes > 1 else []
    words = ['-m', 'asid_plugin', name, '-opt', 'options.yml', *arguments, *launcher]
    ranks = together([folder] * processes, *words) if processes > 1 else [forked.run(words, folder)]
    for done in ranks:
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    return ''.join(done.stdout + done.stderr for done in ranks)


def wait_for(file: Path) -> None:
    """Wait until a file is there, for two minutes at most."""
    deadline = time.monotonic() + 120
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def figures(log: str) -> list[str]:
    return re.findall(r'# (?:psnr|ssim): ([\d.]+)', log)


def test_accumulation_gives_the_same_step(options: dict, tmp_path: Path):
    whole, parts = (step(make_model(options, tmp_path, accumulate=n)) for n in (1, 2))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, atol=2e-5, rtol=0)


def test_gradient_clipping(options: dict, tmp_path: Path):
    model = make_model(options, tmp_path, grad_clip=1e-3)
    step(model)
    norm = torch.stack([p.grad.norm() for p in model.net_g.parameters()]).norm()
    torch.testing.assert_close(norm, torch.tensor(1e-3), rtol=1e-3, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize('amp', ['bf16', 'fp16'])
def test_mixed_precision_is_near_float32(options: dict, tmp_path: Path, amp: str):
    plain, mixed = make_model(options, tmp_path), make_model(options, tmp_path, amp=amp)
    for model in (plain, mixed):
        step(model, 2)
    assert mixed.scaler.is_enabled() == (amp == 'fp16')
    assert all(p.dtype == torch.float32 for p in mixed.net_g.parameters())
    assert mixed.get_current_log()['l_pix'] == pytest.approx(plain.get_current_log()['l_pix'], rel=0.02)
    assert mixed.get_current_log()['l_pix'] != plain.get_current_log()['l_pix']


@pytest.mark.slow
def test_scaler_state_is_saved_and_resumed(options: dict, tmp_path: Path):
    model = make_model(options, tmp_path, amp='fp16')
    step(model, 3)
    model.scaler.update(1024.0)
    model.save(0, 3)
    state = torch.load(tmp_path / 'training_states' / '3.state', weights_only=True)
    resumed = make_model(options, tmp_path, amp='fp16')
    resumed.resume_training(state)
    assert resumed.scaler.get_scale() == 1024


def test_losses_are_added(options: dict, tmp_path: Path):
    model = make_model(options, tmp_path, fft_opt={'type': 'FFTLoss', 'loss_weight': 0.1})
    step(model)
    assert set(model.get_current_log()) == {'l_pix', 'l_fft'}


@pytest.mark.slow
def test_distillation_is_a_loss_from_the_teachers_output(options: dict, tmp_path: Path):
    teacher = ASID(num_feat=24, num_block=2, upscale=2).eval()
    torch.save({'params': teacher.state_dict()}, tmp_path / 'teacher.pth')
    distilling = {'distill_opt': {'type': 'MSELoss', 'loss_weight': 0.5}, 'teacher': str(tmp_path / 'teacher.pth')}
    model = make_model(options, tmp_path, **distilling)
    student, before = deepcopy(model.net_g), deepcopy(model.teacher.state_dict())
    step(model)
    with torch.no_grad():
        outputs = [net(batch()['lq']) for net in (student, teacher)]
    expected = 0.5 * torch.nn.functional.mse_loss(*outputs).item()
    assert model.get_current_log()['l_distill'] == pytest.approx(expected, rel=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in model.teacher.state_dict().items())
    assert not any(p.requires_grad for p in model.teacher.parameters())


@pytest.mark.slow
@pytest.mark.parametrize('switch', [{'compile': {'backend': 'eager'}}, {'channels_last': True}], ids=str)
def test_switches_change_no_result(options: dict, tmp_path: Path, switch: dict):
    expected, weights = step(make_model(options, tmp_path)), step(make_model(options | switch, tmp_path))
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value, atol=2e-5, rtol=0)


def test_ema_is_tested_and_saved(options: dict, tmp_path: Path):
    model = make_model(options, tmp_path, ema_decay=0.5)
    before = model.net_g.conv_first.weight.clone()
    after = step(model)['conv_first.weight']
    expected = (before + after) / 2
    torch.testing.assert_close(model.net_g_ema.conv_first.weight, expected)
    model.feed_data(batch())
    model.test()
    torch.testing.assert_close(model.output, model.net_g_ema(model.lq))
    model.save(0, 3)
    saved = torch.load(tmp_path / 'models' / 'net_g_3.pth', weights_only=True)
    torch.testing.assert_close(saved['params_ema']['conv_first.weight'], expected.detach())


@pytest.mark.parametrize('ema_decay', [0, 0.5])
def test_safetensors_are_written_beside(options: dict, tmp_path: Path, ema_decay: float):
    options['logger']['safetensors'] = True
    model = make_model(options, tmp_path, ema_decay=ema_decay)
    step(model)
    model.save(0, 3)
    model.save(0, -1)
    files = sorted(path.name for path in (tmp_path / 'models').iterdir())
    assert files == [f'net_g_{when}{suffix}' for when in ('3', 'latest') for suffix in ('.pth', '.safetensors')]
    written = load_file(tmp_path / 'models' / 'net_g_3.safetensors')
    assert written.keys() == model.tested_net.state_dict().keys()
    assert all(torch.equal(written[key], value) for key, value in model.tested_net.state_dict().items())
    with safe_open(tmp_path / 'models' / 'net_g_3.safetensors', 'pt') as file:
        assert json.loads(file.metadata()['network_g']) == options['network_g']


@pytest.mark.slow
@pytest.mark.parametrize(
    ('borders', 'running'),
    [
        (None, {'feather': True, 'windows': Windows(8)}),
        ('flush', {'feather': True, 'windows': Windows(8)}),
        ('zeros', {}),
    ],
)
def test_tiles_and_self_ensemble_in_testing(options: dict, tmp_path: Path, borders: str | None, running: dict):
    options['val'] |= {'tile': 16, 'tile_overlap': 4, 'self_ensemble': True} | ({'borders': borders} if borders else {})
    model = make_model(options, tmp_path)
    lq = torch.rand(1, 3, 20, 28)
    model.feed_data({'lq': lq})
    model.test()
    with torch.no_grad():
        turns = [(k, mirror) for k in range(4) for mirror in (False, True)]
        outputs = []
        for k, mirror in turns:
            x = lq.rot90(k, (2, 3))
            y = tiled(model.net_g.eval(), x.flip(3) if mirror else x, 2, 16, 4, **running)
            outputs.append((y.flip(3) if mirror else y).rot90(-k, (2, 3)))
    torch.testing.assert_close(model.output, sum(outputs) / 8)
    assert model.output.shape == (1, 3, 40, 56)


def test_whole_images_with_both_borders(options: dict, tmp_path: Path):
    """By default four tiles of whole windows, flush with the corners; with zeros the network's forward."""
    lq = torch.rand(1, 3, 20, 28)
    outputs = {}
    for borders in ('flush', 'zeros'):
        options['val']['borders'] = borders
        model = make_model(options, tmp_path)
        model.feed_data({'lq': lq})
        model.test()
        outputs[borders] = model.output
        with torch.no_grad():
            net = model.net_g.eval()
            parts = tiled(net, lq, 2, None, feather=True, windows=Windows(8)) if borders == 'flush' else net(lq)
        torch.testing.assert_close(model.output, parts)
    assert (outputs['flush'] - outputs['zeros']).abs().max() > 1e-3


def test_borders_mean_nothing_to_networks_without_windows(options: dict, tmp_path: Path):
    options['network_g'] = {'type': 'MSRResNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1}
    options['network_g']['upscale'] = 2
    model = make_model(options, tmp_path)
    for tile in (None, 16):
        model.opt['val'] |= {'tile': tile, 'tile_overlap': 4}
        model.feed_data({'lq': torch.rand(1, 3, 19, 21)})
        model.test()
        with torch.no_grad():
            want = tiled(model.net_g.eval(), model.lq, 2, 16, 4) if tile else model.net_g.eval()(model.lq)
        torch.testing.assert_close(model.output, want)


def test_weights_that_are_no_numbers_are_not_saved(options: dict, tmp_path: Path):
    """A loss speaks for the weights before the step; a step may ruin them and be the last before a checkpoint."""
    model = make_model(options, tmp_path, grad_clip=1.0)
    model.net_g.conv_up.bias.register_hook(lambda grad: grad * float('nan'))
    step(model)
    with pytest.raises(DivergedError, match='iteration 1: weights .* are not finite'):
        model.save(0, 1)
    assert not list(tmp_path.glob('models/*'))


def test_what_a_kill_left_is_removed(options: dict, tmp_path: Path):
    left = tmp_path / 'training_states' / '.unfinished_x'
    left.mkdir(parents=True)
    (left / '6.state').write_bytes(b'half')
    make_model(options, tmp_path)
    assert not left.exists()


@pytest.mark.parametrize('safetensors', [False, True])
def test_a_failed_save_leaves_nothing(
    options: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, safetensors: bool
):
    """Fill the disk half-way through a file: BasicSR gives up with a warning, the old file must survive."""
    options['logger']['safetensors'] = safetensors
    model = make_model(options, tmp_path)
    model.save(0, 1)
    good = (tmp_path / 'models' / 'net_g_1.pth').read_bytes()

    def full_disk(content: object, path: str) -> None:
        Path(path).write_bytes(b'half')
        raise OSError('No space left on device')

    monkeypatch.setattr(torch, 'save', full_disk)
    monkeypatch.setattr(time, 'sleep', lambda seconds: None)
    said: list[str] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, 'emit', lambda record: said.append(record.getMessage()))
    monkeypatch.setattr(logging.getLogger('basicsr'), 'handlers', [handler])
    with pytest.raises(OSError, match='could not be written'):
        model.save(0, 1)
    assert len(said) == 3 and all('No space left on device' in line for line in said)
    assert (tmp_path / 'models' / 'net_g_1.pth').read_bytes() == good
    assert len(list((tmp_path / 'models').iterdir())) == 1 + safetensors


@pytest.mark.parametrize('model_type', ['ASIDModel', 'SRModel'])
def test_a_deeper_network_starts_from_a_shallower_one(options: dict, tmp_path: Path, model_type: str):
    options |= {'model_type': model_type}
    options['train']['optim_g'] = {'type': 'Adam', 'lr': 1e-3}
    source = ASID(**{k: v for k, v in options['network_g'].items() if k != 'type'})
    torch.save({'params': source.state_dict()}, tmp_path / 'one.pth')
    options['path'] |= {'pretrain_network_g': str(tmp_path / 'one.pth'), 'strict_load_g': False}
    options['network_g']['num_block'] = 2
    model = make_model(options, tmp_path, ema_decay=0.5)
    assert torch.equal(model.net_g.body[0].conv.weight, source.body[0].conv.weight)
    averaged, weights = (dict(net.named_parameters()) for net in (model.net_g_ema, model.net_g))
    assert all(torch.equal(value, weights[name]) for name, value in averaged.items())  # also in the second block


@pytest.mark.slow
@pytest.mark.parametrize('strict', [True, False])
def test_pretrained_weights_of_the_authors(options: dict, tmp_path: Path, strict: bool):
    """Flat and in their layout; x3 starts from x2's body when strict_load_g is off."""
    source = ASID(**{k: v for k, v in options['network_g'].items() if k != 'type'})
    torch.save(to_author_layout(source.state_dict()), tmp_path / 'authors.pth')
    options['path'] |= {'pretrain_network_g': str(tmp_path / 'authors.pth'), 'strict_load_g': strict}
    if not strict:
        options |= {'scale': 3, 'network_g': options['network_g'] | {'upscale': 3}}
    model = make_model(options, tmp_path)
    assert torch.equal(model.net_g.conv_after_body.weight, source.conv_after_body.weight)


@pytest.mark.parametrize('names', [['val'], ['photos', 'prints']])
def test_validation_sets_that_share_file_names(options: dict, tmp_path: Path, names: list[str]):
    """Each of several sets has a folder for the images that are saved; one alone has BasicSR's folders."""
    disk = {'type': 'PairedImageDataset', 'io_backend': {'type': 'disk'}, 'phase': 'val', 'scale': 2}
    options['datasets'] = {
        f'val_{i}': {**disk, **write_pairs(tmp_path / 'sets' / name, 2, 48 + 8 * i), 'name': name}
        for i, name in enumerate(names)
    }
    model = make_model(options, tmp_path)
    folder = tmp_path / 'visualization'
    for dataset in options['datasets'].values():
        model.validation(DataLoader(build_dataset(dataset)), 3, None, True)
        assert model.opt['path']['visualization'] == str(folder)
    places = [folder / name for name in names] if len(names) > 1 else [folder]
    expected = {place / f'{i}' / f'{i}_3.png': 48 + 8 * n for n, place in enumerate(places) for i in range(2)}
    assert {path: cv2.imread(str(path)).shape[0] for path in folder.rglob('*.png')} == expected


@pytest.mark.slow
def test_validation_over_two_ranks_gives_the_figures_of_one(options: dict, tmp_path: Path):
    """Three images on two ranks, and one image, which leaves the second rank without any."""
    trained = run(tmp_path, 'train', options | {'train': options['train'] | {'accumulate': 2}}, processes=2)
    options['val'] |= {'tile': 16, 'tile_overlap': 8}
    options['datasets'] = {'test_1': options['datasets']['val'], 'test_2': dict(options['datasets']['val'])}
    lone = tmp_path / 'lone.txt'
    lone.write_text('0.png (48,48,3)')
    options['datasets']['test_2'] |= {'meta_info_file': str(lone), 'name': 'lone'}
    options['path']['pretrain_network_g'] = 'experiments/tiny/models/net_g_latest.pth'
    test = {key: value for key, value in options.items() if key not in ('train', 'logger')}
    single, double = (figures(run(tmp_path, 'test', test, processes=n)) for n in (1, 2))
    assert len(figures(trained)) == 6 and len(single) == 4
    assert single == double


@pytest.mark.slow
def test_a_second_training_of_a_name_stops(options: dict, tmp_path: Path):
    """It leaves the first one's folder, which BasicSR would move away, and its log where they are."""
    options['train']['total_iter'] = 2000
    options['logger'] |= {'use_tb_logger': True, 'save_checkpoint_freq': 1}
    del options['val'], options['datasets']['val']
    (tmp_path / 'options.yml').write_text(yaml.dump(options, Dumper=ordered_yaml()[1]))
    command = ['-m', 'asid_plugin', 'train', 'options.yml']
    experiment = tmp_path / 'experiments' / 'tiny'
    first = forked.Forked(command, tmp_path)
    try:
        wait_for(experiment / 'training_states' / '1.state')
        os.kill(first.pid, signal.SIGSTOP)
        before = sorted(tmp_path.rglob('*'))
        for arguments in ([], ['--auto_resume']):
            second = forked.run([*command, *arguments], tmp_path)
            assert second.returncode == 2
            assert second.stderr.count('\n') == 1
            assert second.stderr.startswith(f'options.yml: name: {experiment}: process {first.pid} on ')
            assert sorted(tmp_path.rglob('*')) == before
    finally:
        first.kill()


@pytest.mark.slow
def test_killed_training_resumes(options: dict, tmp_path: Path):
    """SIGKILL in mid-training, then --auto_resume: iteration, learning rate and optimizer state continue."""
    options['train'] |= {'total_iter': 2000, 'scheduler': {'type': 'MultiStepLR', 'milestones': [2, 5], 'gamma': 0.5}}
    del options['val'], options['datasets']['val']
    (tmp_path / 'options.yml').write_text(yaml.dump(options, Dumper=ordered_yaml()[1]))
    states = tmp_path / 'experiments' / 'tiny' / 'training_states'
    training = forked.Forked(['-m', 'asid_plugin', 'train', 'options.yml'], tmp_path)
    wait_for(states / '6.state')
    training.kill()
    assert training.communicate(60).returncode == -signal.SIGKILL
    last = max(int(path.stem) for path in states.glob('*.state'))
    state = torch.load(states / f'{last}.state', weights_only=True)

    log = run(tmp_path, 'train', options, '--auto_resume', '--force_yml', f'train:total_iter={last + 3}')
    assert f'Resuming training from epoch: {state["epoch"]}, iter: {last}.' in log
    assert re.findall(r'iter:\s*([\d,]+), lr:\(([\d.e+-]+),?\)', log)[0] == (str(last + 1), '2.500e-04')
    after = torch.load(states / f'{last + 3}.state', weights_only=True)
    assert after['optimizers'][0]['state'][0]['step'] == state['optimizers'][0]['state'][0]['step'] + 3
    assert not list(tmp_path.rglob('.unfinished_*'))

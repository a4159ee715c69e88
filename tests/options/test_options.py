"""The option files, and what is said of mistakes in them before anything starts."""

import itertools
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from PIL import ExifTags, Image
from safetensors.torch import save_file

import asid_plugin  # noqa: F401  # before basicsr
from helpers import DELETED, edit

# isort: split
from basicsr import train
from basicsr.utils.lmdb_util import LmdbMaker

import fresh
from asid_plugin.archs import ASID
from asid_plugin.checkpoints.archives import load_pickled
from asid_plugin.extras import how_to_install
from asid_plugin.layouts.author_layout import to_author_layout
from asid_plugin.options.beginning import check_forced
from asid_plugin.options.building import check_built
from asid_plugin.options.checks import check_general, check_options
from asid_plugin.options.epochs import last_iteration
from asid_plugin.options.forced import Forced
from asid_plugin.options.problems import Problem
from asid_plugin.options.schema import SCHEDULERS
from asid_plugin.pairs.opening import try_reading

ROOT = Path(__file__).parents[2]
OPTIONS = sorted((ROOT / 'options').rglob('*.yml'))
Edits = dict[str, Any]
# Of the demo's numbers, which may change, those that the lines below quote.
DEMO = {
    'datasets:train:gt_size': 96, 'datasets:train:batch_size_per_gpu': 8, 'datasets:train:dataset_enlarge_ratio': 100,
    'datasets:train:num_worker_per_gpu': 1, 'datasets:train:persistent_workers': True, 'train:total_iter': 300,
    'train:optim_g': {'type': 'AdamW', 'lr': 1e-3, 'betas': [0.9, 0.999]},
    'train:scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [300]},
}  # fmt: skip


def read(file: Path) -> dict:
    return yaml.safe_load(file.read_text())


def write_lmdb(folder: Path, sizes: dict[str, tuple[int, int]], raw: bool = False) -> None:
    maker = LmdbMaker(str(folder), map_size=1 << 20, compress_level='raw' if raw else 1)
    for name, (height, width) in sizes.items():
        pixels = np.zeros((height, width, 3), np.uint8)
        maker.put(pixels.tobytes() if raw else png_bytes(pixels), name, (height, width, 3))
    maker.close()


def png_bytes(pixels: np.ndarray) -> bytes:
    return cv2.imencode('.png', pixels)[1].tobytes()


def write_images(folder: Path, sizes: dict[str, tuple[int, int]]) -> None:
    folder.mkdir(parents=True)
    for name, (height, width) in sizes.items():
        cv2.imwrite(str(folder / name), np.zeros((height, width, 3), np.uint8))


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images where the demo's option files look for them, and a network that its test can start from."""
    root = tmp_path_factory.mktemp('data')
    demo = root / 'datasets/demo'
    demo.mkdir(parents=True)
    write_lmdb(demo / 'train_HR_sub.lmdb', {'a_s001': (128, 128), 'b_s001': (120, 128)})
    write_lmdb(demo / 'train_LR_bicubic_X2_sub.lmdb', {'a_s001': (64, 64), 'b_s001': (60, 64)})
    write_images(demo / 'val/GTmod2', {'c.png': (48, 50), 'd.png': (40, 40)})
    write_images(demo / 'val/LRbicx2', {'c.png': (24, 25), 'd.png': (20, 20)})
    weights = root / 'experiments/demo_ASID_x2/models/net_g_latest.pth'
    weights.parent.mkdir(parents=True)
    torch.save({'params_ema': ASID(upscale=2).state_dict()}, weights)
    return root


@pytest.fixture(scope='module')
def reading_once() -> Callable[..., int]:
    """`try_reading`, which starts a process, of LMDBs that are as they were when it found them whole no more."""
    whole: dict[tuple, int] = {}

    def read(root: Path, keys: Iterable[str], again: str) -> int:
        stat, names = (root / 'data.mdb').stat(), tuple(keys)
        key = (root.name, stat.st_size, stat.st_mtime_ns, names)
        if key not in whole:
            whole[key] = try_reading(root, names, again)
        return whole[key]

    return read


@pytest.fixture
def work(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading_once: Callable[..., int]) -> Path:
    """A working directory with a copy of `data`."""
    monkeypatch.setattr('asid_plugin.pairs.lmdbs.try_reading', reading_once)
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> list[Path]:
    """All files but those of the lock that a run takes whose options are right."""
    return sorted(path for path in folder.rglob('*') if path.is_file() and '.lock' not in path.name)


@pytest.fixture
def problems(work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., list[str]]:
    """A function that starts BasicSR with an option file, edited, and returns the lines with which it ends."""

    def start(edits: Edits | None = None, *force_yml: str, file: str = 'demo_ASID_x2.yml') -> list[str]:
        opt = read(ROOT / 'options' / file)
        edit(opt, ({} if 'test' in file else deepcopy(DEMO)) | (edits or {}))
        Path('bad.yml').write_text(yaml.safe_dump(opt, sort_keys=False))
        arguments = force_yml if '--auto_resume' in force_yml else ['--force_yml', *force_yml] if force_yml else []
        monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', 'bad.yml', *arguments])
        before = files(work)
        status = 0
        try:
            train.parse_options(str(work), is_train='test' not in file)
        except SystemExit as stop:
            status = stop.code
        assert status in (0, 2)
        assert files(work) == before, 'the check left something behind'
        return [line.removeprefix('bad.yml: ') for line in capsys.readouterr().err.splitlines()]

    return start


@pytest.mark.slow
def test_options_that_are_right_pass(problems):
    assert problems() == []
    assert problems(file='demo_test_ASID_x2.yml') == []
    everything = {
        'train:amp': 'bf16', 'train:grad_clip': 0.5, 'train:accumulate': 2, 'train:fft_opt': {'type': 'FFTLoss'},
        'val:tile': 64, 'val:tile_overlap': 0, 'val:tile_batch': 4,
        'val:borders': 'flush', 'val:self_ensemble': True, 'val:amp': 'fp16',
        'compile': True, 'channels_last': True, 'logger:safetensors': True, 'train:tf32': True,
        'train:distill_opt': {'type': 'L1Loss'}, 'train:teacher': 'packaged:x2',
        'path:pretrain_network_g': 'packaged:x2',
    }  # fmt: skip
    assert problems(everything) == []


@pytest.mark.slow
@pytest.mark.parametrize('file', OPTIONS, ids=lambda file: file.stem)
def test_our_option_files_lack_only_images_and_weights(file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', str(file)])
    with pytest.raises(SystemExit):
        train.parse_options(str(tmp_path), is_train='test' not in file.stem)
    lines = capsys.readouterr().err.splitlines()
    assert all(': no folder datasets/' in line or ': no file experiments/' in line for line in lines)
    opt = read(file)
    needed = {key: dataset for key, dataset in opt['datasets'].items() if (key, dataset['name']) != ('val', 'Set5')}
    roots = [key for dataset in needed.values() for key in dataset if key.startswith('dataroot_')]
    weights = [opt['path']['pretrain_network_g'], opt.get('train', {}).get('teacher')]
    named = [file for file in weights if file and not file.startswith('packaged:')]
    assert len(lines) == len(roots) + len(named)


def test_the_recipe_is_the_papers():
    opt = read(ROOT / 'options/train_ASID_x2.yml')
    assert opt['train'] == {
        'optim_g': {'type': 'AdamW', 'lr': 5e-4, 'weight_decay': 1e-4, 'betas': [0.9, 0.999], 'fused': True},
        'scheduler': {'type': 'MultiStepLR', 'milestones': [800_000, 1_600_000, 2_400_000], 'gamma': 0.5},
        'total_iter': 3_200_000,
        'warmup_iter': -1,
        'pixel_opt': {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'},
    }
    data = opt['datasets']['train']
    assert (data['gt_size'], data['batch_size_per_gpu'], data['use_hflip'], data['use_rot']) == (128, 16, True, True)
    assert opt['manual_seed'] == 1234


# Pairs of lines: edits of the demo's option file, and how the one line begins that says what is wrong.
MISTAKES = """
network_g:num_blok = 3
    network_g: num_blok: unknown; did you mean num_block? (ASID)
network_g:type = ASDI
    network_g: type: 'ASDI' is unknown; did you mean ASID?
network_g:type = DELETED
    network_g: type: None is unknown; known are
network_g:num_feat = 50
    network_g: ASID: num_feat must be a multiple of 4, got 50
network_g:input_range = both
    network_g: input_range: 'both' should be signed or unit
network_g:sharing = intre
    network_g: sharing: 'intre' should be inter, intra or none; did you mean intra?
network_g:distillation = false
    network_g: ASID: channel_split needs distillation
network_g:upscale = 4
    network_g: upscale: 4, but scale is 2; they must be equal
network_g:num_block = 1000000
    network_g: ASID: a network of more than 20000 modules and tensors; that is too large
network_g:num_feat = 100000
    network_g: ASID: a network of more than 1000000000 values; that is too large
network_g = {type: EDSR, num_in_ch: 3, num_out_ch: 3, upscale: 2, num_block: 1000000}
    network_g: EDSR: a network of more than 20000 modules and tensors; that is too large
network_g:num_feat = 1000000000000000000000
    network_g: num_feat: 1000000000000000000000 should be a whole number
network_g:num_in_ch = 1
    network_g: num_in_ch: 1, but the images of datasets:train have 3
network_g:num_block = "3"
    network_g: num_block: '3' is text, not a number; write 3, or in --force_yml !!float 3

train:ema_decy = 0.9
    train: ema_decy: unknown; did you mean ema_decay?
train:amp = no
    train: amp: False should be bf16 or fp16, or ~
train:grad_clip = 0
    train: grad_clip: 0 should be a number above 0, or ~
train:accumulate = 3
    train: accumulate: 3 does not divide batch_size_per_gpu, 8
train:accumulate = 2; train:pixel_opt = {type: L1Loss, reduction: sum}
    train: accumulate: 2 parts need losses that are means, but pixel_opt is a sum
train:total_iter = DELETED
    train: total_iter: missing; it must be a whole number of at least 1
train:total_iter = 2.5
    train: total_iter: 2.5 should be a whole number of at least 1
train:optim_g:lr = 5e-4
    train: optim_g: lr: '5e-4' is text, not a number; write 5.0e-4, or in --force_yml !!float 5e-4
train:optim_g:betas = [0.9, 9e-1]
    train: optim_g: betas: '9e-1' is text, not a number; write 9.0e-1
train:optim_g:lr = -1.0
    train: optim_g: AdamW: Invalid learning rate: -1.0
train:optim_g:lr = DELETED
    train: optim_g: lr: missing; the learning rate
train:optim_g:type = AdmW
    train: optim_g: type: 'AdmW' is unknown; did you mean AdamW?
train:optim_g:foreach = true; train:optim_g:fused = true
    train: optim_g: AdamW: `fused` and `foreach` cannot be `True` together.
train:optim_g = {type: Adadelta, lr: 1.0, fused: true}
    train: optim_g: fused: unknown; known are
train:optim_g:betas = [0.9]
    train: optim_g: AdamW: list index out of range
train:total_iter = 1.0e+300
    train: total_iter: 1e+300 should be a whole number of at least 1 and at most 1000000000
total_iter = 10
    total_iter: unknown; did you mean train:total_iter?
val:gt_size = 32
    val: gt_size: unknown; did you mean datasets:train:gt_size?
train:tile = 64
    train: tile: unknown; did you mean val:tile?
train:scheduler:periods = true
    train: scheduler: periods: True should be a list of 1 or more whole numbers of at least 1
train:scheduler:periods = [300, ten]
    train: scheduler: periods: 'ten' should be a whole number of at least 1
train:scheduler = {type: MultiStepLR, milestones: 100}
    train: scheduler: milestones: 100 should be a list of whole numbers of at least 0
train:optim_g:beta = [0.9, 0.99]
    train: optim_g: beta: unknown; did you mean betas? (AdamW)
train:scheduler:eta = 0
    train: scheduler: eta: unknown; did you mean eta_min? (CosineAnnealingRestartLR)
train:scheduler:periods = [100, 200]
    train: scheduler: CosineAnnealingRestartLR: periods and restart_weights should
train:scheduler:periods = [299]
    train: scheduler: periods: [299] end before total_iter, 300; their sum must reach it
train:scheduler = {type: MultiStepLR}
    train: scheduler: milestones: missing; MultiStepLR needs it
train:scheduler:type = StepLR
    train: scheduler: type: 'StepLR' is unknown; did you mean MultiStepLR?
train:pixel_opt = DELETED
    train: pixel_opt: missing; a loss is needed, such as type: L1Loss
train:pixel_opt:reduction = none
    train: pixel_opt: L1Loss returns more than one number; use a reduction, such as mean
train:fft_opt = {type: PerceptualLoss, layer_weights: {conv5_4: 1}}
    train: fft_opt: type: PerceptualLoss belongs to perceptual_opt
train:fft_opt = {type: GANLoss, gan_type: vanilla}
    train: fft_opt: GANLoss: 
train:perceptual_opt = {type: L1Loss}
    train: perceptual_opt: type: L1Loss is not a loss between features; use PerceptualLoss
train:perceptual_opt = {type: PerceptualLoss, layer_weights: {conv9_1: 1}}
    train: perceptual_opt: layer_weights: conv9_1: 1 should be a layer of vgg19, such as conv5_4, and its weight
train:pixel_opt:type = L1
    train: pixel_opt: type: 'L1' is unknown;
train:pixel_opt:reduction = man
    train: pixel_opt: reduction: 'man' should be none, mean or sum; did you mean mean?
train:fft_opt = {type: FFTLoss, weight: 1}
    train: fft_opt: weight: unknown; did you mean loss_weight? (FFTLoss)
train:distill_opt = {type: L1Loss}
    train: teacher: missing; distill_opt needs the weights of a trained ASID, such as packaged:x2
train:teacher = packaged:x2
    train: teacher: unused without distill_opt, a loss such as type: L1Loss
train:distill_opt = {type: L1Loss}; train:teacher = packaged:x4
    train: teacher: packaged:x4 has scale 4, but scale is 2
train:distill_opt = {type: L1Loss}; train:teacher = /no/teacher.pth
    train: teacher: no file /no/teacher.pth; it should be the weights of a trained ASID

colour = 1
    colour: unknown; known are
chanels_last = true
    chanels_last: unknown; did you mean channels_last?
name = ..
    name: '..'; it should be a folder name without slashes
name = ../../home
    name: '../../home'; it should be a folder name without slashes
name = .inf
    name: inf; it should be a folder name without slashes
name = DELETED
    name: missing; it must be text
train = DELETED
    train: missing; it must be a section (lines of key: value below it, indented)
datasets:val = ~
    datasets: val: None should be a section (lines of key: value below it, indented)
model_type = ASIDModell
    model_type: 'ASIDModell' is unknown; did you mean ASIDModel?
num_gpu = 9
    num_gpu: 9, but this machine has
logger:wandb = {project: 7}
    logger: wandb: project: 7 should be text, or ~

val:tille = 64
    val: tille: unknown; did you mean tile?
val:tile = 60
    val: tile: 60 is not a multiple of the window size 8
val:tile = 8; val:tile_overlap = 0
    val: tile: 8 should be a whole number of at least 16, or ~
val:tile = 64; val:tile_overlap = 64
    val: tile_overlap: 64 is not less than tile, 64
val:tile = 16
    val: tile_overlap: 24 is not less than tile, 16
manual_seed = -1
    manual_seed: -1 should be a whole number of at least 0 and at most 2147483648
manual_seed = 4294967296
    manual_seed: 4294967296 should be a whole number of at least 0 and at most 2147483648
model_type = SwinIRModel; train:optim_g:type = Adam
    network_g: window_size: missing; SwinIRModel needs it
logger:safetensors = 1
    logger: safetensors: 1 should be true or false
val:metrics:psnr:test_y = true
    val: metrics: psnr: test_y: unknown; did you mean test_y_channel? (calculate_psnr)
val:metrics:psnr:crop_border = DELETED
    val: metrics: psnr: crop_border: missing; calculate_psnr needs it
val:metrics:psnr:crop_border = 24
    val: metrics: psnr: crop_border: 24 leaves no pixels of datasets/demo/val/GTmod2/d.png, 40x40 pixels
val:metrics:psnr:crop_border = -2
    val: metrics: psnr: crop_border: -2 should be a whole number of at least 0
val:metrics:psnr:crop_border = 2.5
    val: metrics: psnr: crop_border: 2.5 should be a whole number of at least 0
val:metrics:ssim:crop_border = 16
    val: metrics: ssim: calculate_ssim cannot measure datasets/demo/val/GTmod2/d.png, which is too small
val:metrics:psnr:type = calculate_psnr_pt
    val: metrics: psnr: calculate_psnr_pt cannot measure datasets/demo/val/GTmod2/d.png: too many indices
val:metrics:psnr:type = psnr
    val: metrics: psnr: type: 'psnr' is unknown;
path:pretrain_model_g = ~
    path: pretrain_model_g: unknown; did you mean pretrain_network_g?
path:pretrain_network_g = packaged:x5
    path: pretrain_network_g: packaged:x5: no such weights in the package; available: packaged:x2,
path:pretrain_network_g = [a.pth]
    path: pretrain_network_g: ['a.pth'] should be text, or ~
path:resume_state = 7
    path: resume_state: 7 should be text, or ~
path:resume_state = /no/1.state
    path: resume_state: no file /no/1.state; it should be a training state, or ~

datasets:train = DELETED
    datasets: train: missing; training needs it
datasets:test = {}
    datasets: test: not for training; use train and val (val_1, val_2 ...)
datasets:train:use_flip = true
    datasets: train: use_flip: unknown; did you mean use_hflip?
datasets:train:type = PairedImage
    datasets: train: type: 'PairedImage' is unknown; did you mean PairedImageDataset?
datasets:train:gt_size = 95
    datasets: train: gt_size: 95 is not a multiple of scale 2; use 94 (LR patches of 47) or 96 (LR patches
datasets:train:gt_size = 128
    datasets: train: gt_size: 128 does not fit into b_s001, 120 pixels wide or high; use at most 120
datasets:train:dataroot_lq = {a: 1}
    datasets: train: dataroot_lq: {'a': 1} should be text
datasets:val:dataroot_gt = 2.5
    datasets: val: dataroot_gt: 2.5 should be text
datasets:val:name = a/../../b
    datasets: val: name: 'a/../../b'; it should be a folder name that does not lead out of its parent folder
datasets:val:filename_tmpl = "{}{0.__class__}"
    datasets: val: filename_tmpl: '{}{0.__class__}' should be text like {}x2
datasets:val:io_backend = {type: disk, readonly: true}
    datasets: val: io_backend: readonly: unknown; known are type
datasets:val:mean = [0.5, 0.5, 0.5]
    datasets: val: std: missing; mean and std need each other
datasets:val:std = [1, 0, 1]
    datasets: val: std: [1, 0, 1] should be a list of 1 to 3 numbers above 0, or ~
datasets:train:dataset_enlarge_ratio = 1.0e+308
    datasets: train: dataset_enlarge_ratio: 1e+308 should be a whole number of at least 1 and at most 10000000
datasets:train:num_worker_per_gpu = 100000
    datasets: train: num_worker_per_gpu: 100000 processes are too many for this machine; at most
datasets:train:batch_size_per_gpu = 0
    datasets: train: batch_size_per_gpu: 0 should be a whole number of at least 1
num_gpu = 0; datasets:train:dataset_enlarge_ratio = 1
    datasets: train: dataset_enlarge_ratio: 1 x 2 images are less than one batch of 8; use at least 4
num_gpu = 0; datasets:train:dataset_enlarge_ratio = 5
    datasets: train: dataset_enlarge_ratio: with 5 x 2 images the training would end at iteration 151 of 300:
datasets:train:num_worker_per_gpu = 0
    datasets: train: persistent_workers: true needs a training with num_worker_per_gpu above 0
datasets:val:prefetch_mode = cuda
    datasets: val: prefetch_mode: cuda needs a GPU and pin_memory: true; ~ works everywhere
datasets:val:io_backend = {}
    datasets: val: io_backend: {} should be type: disk or type: lmdb
datasets:val:dataroot_lq = /no/LRbicx2
    datasets: val: dataroot_lq: no folder /no/LRbicx2
datasets:train:dataroot_lq = /no/LR.lmdb
    datasets: train: dataroot_lq: no folder /no/LR.lmdb; asid prepare div2k or asid prepare photos makes training data
datasets:val:filename_tmpl = "{}x2"
    datasets: val: dataroot_lq: no cx2.png in datasets/demo/val/LRbicx2, the partner of c.png in datasets/demo/val/GT
datasets:val:meta_info_file = no.txt
    datasets: val: meta_info_file: no file no.txt in
"""


LINES = [line.strip() for line in MISTAKES.splitlines() if line]


@pytest.mark.slow
@pytest.mark.parametrize(('edits', 'line'), [*zip(LINES[::2], LINES[1::2], strict=True)])
def test_a_mistake_is_one_line(problems, edits, line):
    values = dict(edit.split(' = ') for edit in edits.split('; '))
    found = problems({key: DELETED if value == 'DELETED' else yaml.safe_load(value) for key, value in values.items()})
    assert len(found) == 1, found
    assert found[0].startswith(line)


GRAPHS = {
    'mode: reduce-overhead': {'mode': 'reduce-overhead'},
    'mode: max-autotune': {'mode': 'max-autotune'},
    'options: triton.cudagraphs': {'options': {'triton.cudagraphs': True}},
    'backend: cudagraphs': {'backend': 'cudagraphs'},
}


@pytest.mark.slow
@pytest.mark.parametrize('said', GRAPHS)
def test_cuda_graphs_and_parts_of_batches_exclude_each_other(problems, said):
    edit = {'compile': GRAPHS[said], 'train:accumulate': 2}
    assert problems(edit) == [
        f'compile: {said} does not work with train:accumulate, 2: a CUDA graph overwrites the gradients of the '
        'previous part; use accumulate: 1, or mode: max-autotune-no-cudagraphs'
    ]
    assert problems(edit | {'train:accumulate': 1}) == []


@pytest.mark.parametrize(
    'arguments',
    [{'mode': 'max-autotune-no-cudagraphs'}, {'options': {'triton.cudagraphs': False}}, {'dynamic': False}, True],
    ids=str,
)
def test_compiling_without_cuda_graphs_goes_with_parts_of_batches(problems, arguments):
    assert problems({'compile': arguments, 'train:accumulate': 2}) == []


@pytest.mark.parametrize('edit', [{'compile': True}, {'train:amp': 'bf16'}, {'val:amp': 'fp16'}], ids=str)
def test_data_parallel_has_its_limits(problems, edit):
    found = problems(edit | {'num_gpu': 2})
    assert any(line.startswith('num_gpu: compile and amp do not work with 2 GPUs in one process') for line in found)


def test_data_parallel_ends_early(problems, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    right = 'start with torchrun and --launcher pytorch, or set num_gpu: 1'
    assert problems({'num_gpu': 2}) == [f'num_gpu: with 2 in one process BasicSR ends at iteration 156 of 300; {right}']


@pytest.mark.parametrize(('ratio', 'batch', 'world_size', 'num_gpu'), [(10, 8, 1, 1), (9, 4, 2, 1), (13, 4, 1, 2)])
def test_the_last_iteration_is_basicsrs(work: Path, ratio: int, batch: int, world_size: int, num_gpu: int):
    """The epochs that BasicSR plans for 100 iterations, and the batches that its loader has."""
    opt = read(ROOT / 'options' / 'demo_ASID_x2.yml')
    opt['train']['total_iter'] = 100
    opt |= {'dist': world_size > 1, 'rank': 0, 'world_size': world_size, 'num_gpu': num_gpu}
    opt['datasets'] = {'train': opt['datasets']['train'] | {'phase': 'train', 'scale': 2}}
    opt['datasets']['train'] |= {'batch_size_per_gpu': batch, 'dataset_enlarge_ratio': ratio}
    loader, _, _, epochs, _ = train.create_train_val_dataloader(opt, logging.getLogger())
    assert last_iteration(2 * ratio, 100, batch, world_size, num_gpu) == len(loader) * (epochs + 1)


def test_networks_without_windows_are_tested_by_any_tile(problems):
    edsr = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'upscale': 2}
    assert problems({'network_g': edsr, 'val:tile': 100}) == []
    assert problems({'network_g:window_size': 10, 'val:tile': 100}) == []


WEIGHTS = 'experiments/demo_ASID_x2/models/net_g_latest.pth'


@pytest.mark.slow
def test_weights_of_another_network(problems):
    edits = {'path:pretrain_network_g': WEIGHTS, 'scale': 2, 'network_g:num_block': 8}
    line = f'path: pretrain_network_g: {WEIGHTS}: these weights are for another ASID: num_block is 3 there and 8 here'
    assert problems(edits) == [f'{line}; strict_load_g: false skips weights that do not fit']
    assert problems(edits | {'path:strict_load_g': False}) == []


@pytest.mark.slow
def test_weights_of_neosrs_network(problems, work: Path):
    network = {'num_feat': 16, 'num_block': 2, 'input_range': 'unit', 'position_bias': False, 'channel_scale': 'fixed'}
    edits = {f'network_g:{key}': value for key, value in network.items()} | {'path:pretrain_network_g': 'net.pth'}
    net = ASID(**network)
    torch.save({'params': net.state_dict()}, work / 'net.pth')
    assert problems(edits) == []
    (line,) = problems(edits | {'network_g:input_range': 'signed'})
    assert "input_range is 'unit' there and 'signed' here" in line
    theirs = to_author_layout(ASID(num_feat=16, num_block=2).state_dict())
    torch.save({'params': theirs}, work / 'net.pth')
    (line,) = problems(edits)
    assert '`asid convert --from neosr IN OUT`' in line


@pytest.mark.slow
def test_weights_that_any_model_reads(problems, work: Path):
    """`SRModel` reads weights of our networks as `ASIDModel` does."""
    basicsr = {'model_type': 'SRModel', 'train:optim_g:type': 'Adam'}

    def lines(file: str, **more) -> list[str]:
        return [line for line in problems({**basicsr, 'path:pretrain_network_g': file, **more}) if 'pretrain' in line]

    state_dict = torch.load(work / WEIGHTS)['params_ema']
    torch.save({'params': state_dict}, work / 'basicsr.pth')
    torch.save(state_dict, work / 'bare.pth')
    torch.save({'params': state_dict | {'more': 1}}, work / 'number.pth')
    (work / 'cut.pth').write_bytes((work / 'basicsr.pth').read_bytes()[:5000])
    assert lines('basicsr.pth') == []
    [line] = lines('cut.pth')
    assert line.startswith('path: pretrain_network_g: cut.pth: damaged or not a checkpoint (')
    [line] = lines('basicsr.pth', **{'network_g:num_block': 8})
    assert line.startswith('path: pretrain_network_g: basicsr.pth: these weights are for another ASID: num_block is 3')
    save_file(state_dict, work / 'a.safetensors')
    for name in ('bare.pth', 'a.safetensors', 'packaged:x2', WEIGHTS):
        assert lines(name) == []
    assert len(lines('number.pth')) == 1
    [line] = lines('packaged:x4')
    assert line.startswith('path: pretrain_network_g: packaged:x4: ')


@pytest.mark.slow
def test_soap_is_checked_like_other_optimizers(problems, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip('pytorch_optimizer')
    soap = {'type': 'SOAP', 'lr': 3e-3}
    assert problems({'train:optim_g': soap}) == []
    [line] = problems({'train:optim_g': soap | {'precondition_frequency': 0}})
    assert line.startswith('train: optim_g: ') and 'precondition_frequency' in line
    [line] = problems({'train:optim_g': soap | {'precondition_frequenzy': 5}})
    assert 'did you mean precondition_frequency?' in line
    monkeypatch.setitem(sys.modules, 'pytorch_optimizer', None)
    [line] = problems({'train:optim_g': soap})
    assert line == f'train: optim_g: SOAP: pytorch_optimizer is not installed: {how_to_install("optimizers")}'


def test_auto_resume_does_not_throw_a_result_away(problems):
    line = f'{WEIGHTS} exists, but there is no training state to resume from; omit --auto_resume'
    assert problems(None, '--auto_resume') == [f'path: resume_state: {line}']


def test_what_a_training_that_goes_on_no_longer_reads_may_be_gone(problems, work: Path):
    write_state(work, 100, epoch=4)
    assert problems({'path:pretrain_network_g': 'gone.pth'}, '--auto_resume') == []


def write_state(work: Path, iteration: int, epoch: int) -> Path:
    """A training state of the demo, as BasicSR saves it, and the weights beside it."""
    file = work / f'experiments/demo_ASID_x2/training_states/{iteration}.state'
    file.parent.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.AdamW(ASID(upscale=2).parameters(), lr=1)
    scheduler = SCHEDULERS['CosineAnnealingRestartLR'](optimizer, periods=[300])
    optimizer.step()
    scheduler.step()
    states = {'optimizers': [optimizer.state_dict()], 'schedulers': [scheduler.state_dict()]}
    state = {'epoch': epoch, 'iter': iteration, **states}
    torch.save(state, file)
    shutil.copy(work / WEIGHTS, work / WEIGHTS.replace('latest', str(iteration)))
    return file.relative_to(work)


@pytest.mark.slow
def test_a_training_goes_on_by_the_schedule_that_it_began_with(problems, work: Path):
    file = write_state(work, 100, epoch=4)
    assert problems({'train:scheduler:periods': [300], 'train:total_iter': 300}, '--auto_resume') == []
    edits = {'train:scheduler:periods': [400], 'train:total_iter': 400}
    assert problems(edits, '--auto_resume') == [
        f'train: scheduler: periods: [400], but {file} resumes with [300]; write [300], or start from its weights'
    ]
    other = {'type': 'MultiStepLR', 'milestones': [300]}
    assert problems({'train:scheduler': other, 'path:resume_state': str(file)}) == [
        f'train: scheduler: type: {file} has another; restore the original one, or start from its weights'
    ]


@pytest.mark.slow
def test_a_state_is_no_reason_to_build_a_network_that_is_too_large(problems, work: Path, monkeypatch):
    write_state(work, 100, epoch=4)
    monkeypatch.setattr('asid_plugin.options.building.MOST_TENSORS', 2000)
    began = time.process_time()
    lines = problems({'network_g:num_block': 1_000_000}, '--auto_resume')
    assert lines == ['network_g: ASID: a network of more than 2000 modules and tensors; that is too large']
    assert time.process_time() - began < 20


@pytest.mark.slow
def test_a_state_is_unpickled_once(problems, work: Path, monkeypatch: pytest.MonkeyPatch):
    file, read = write_state(work, 100, epoch=4), []
    monkeypatch.setattr(
        'asid_plugin.options.resuming.load_pickled', lambda path: read.append(path) or load_pickled(path)
    )
    assert problems(None, '--auto_resume') == [] and read == [file]
    write_state(work, 100, epoch=5)
    assert problems(None, '--auto_resume') == [] and read == [file, file], 'another of its name is read anew'


@pytest.mark.slow
def test_a_training_that_goes_on_has_epochs_left(problems, work: Path):
    """200 samples are 25 batches of 8; with 2 a batch, there were 100 in an epoch."""
    file = write_state(work, 160, epoch=6)
    assert problems(None, '--auto_resume') == []
    file = write_state(work, 250, epoch=2)
    assert problems({'datasets:train:batch_size_per_gpu': 2}, '--auto_resume') == []
    file = write_state(work, 275, epoch=11)
    left = 'resumes in epoch 11, but the remaining epochs end at iteration 275 of 300; restore its'
    assert problems({'datasets:train:batch_size_per_gpu': 2}, '--auto_resume') == [
        f'path: resume_state: {file} {left} original batch and images, or start from its weights'
    ]


def test_a_state_that_is_cut_short(problems, work: Path):
    file = write_state(work, 100, epoch=4)
    (work / file).write_bytes((work / file).read_bytes()[:500])
    [line] = problems(None, '--auto_resume')
    assert line.startswith(f'path: resume_state: {file} is not a complete training state (')


@pytest.mark.slow
def test_a_state_whose_place_is_none(problems, work: Path):
    file = write_state(work, 100, epoch=4)
    state = torch.load(work / file)
    good = {'samples': 0, 'total': 200, 'seed': 1}
    wrong = {'samples': 201}, {'samples': -1}, {'seed': -1}, {'samples': 1.5}, {'total': None}, {'samples': True}
    for place in ({**good, **entry} for entry in wrong):
        torch.save(state | {'place': place}, work / file)
        [line] = problems(None, '--auto_resume')
        assert line.startswith(
            f'path: resume_state: {file} is not a complete training state (its place in the epoch is '
        )
    torch.save(state | {'place': good}, work / file)
    assert problems(None, '--auto_resume') == []


@pytest.mark.slow
def test_a_state_with_its_place_has_as_many_epochs_left_as_it_needs(problems, work: Path):
    """200 samples are 25 batches of 8, and 13 epochs are begun; after 12 of them, two batches of the last are left."""
    file = write_state(work, 290, epoch=12)
    state = torch.load(work / file)
    for samples, fits in ((15 * 8, True), (16 * 8, False)):
        torch.save(state | {'place': {'samples': samples, 'total': 200, 'seed': 1}}, work / file)
        assert (problems(None, '--auto_resume') == []) is fits


@pytest.mark.slow
@pytest.mark.parametrize('cut', [None, 0, 5000])
def test_a_state_without_whole_weights_beside_it(problems, work: Path, cut: int | None):
    file = write_state(work, 100, epoch=4)
    weights = Path(WEIGHTS.replace('latest', '100'))
    if cut is None:
        (work / weights).unlink()
    else:
        os.truncate(work / weights, cut)
    [line] = problems(None, '--auto_resume')
    assert line.startswith(f'path: resume_state: {file} needs {weights}')
    assert line.endswith('name another' if cut is None else 'name another state')
    assert problems({'path:ignore_resume_networks': ['network_g']}, '--auto_resume') == []


def test_an_lmdb_that_was_not_copied_to_its_end(problems, work: Path):
    path = work / 'datasets/demo/train_HR_sub.lmdb/data.mdb'
    os.truncate(path, path.stat().st_size - 4096)
    assert problems() == [
        'datasets: train: dataroot_gt: datasets/demo/train_HR_sub.lmdb is cut short: copy it again, or '
        'asid prepare demo makes it anew'
    ]


def test_every_pair_that_is_tested_is_looked_at(problems, work: Path):
    turned = Image.new('RGB', (40, 48))
    exif = turned.getexif()
    exif[ExifTags.Base.Orientation] = 6  # BasicSR, like OpenCV, turns it
    for name, image in {'e.jpg': turned, 'f.png': Image.new('RGB', (40, 48))}.items():
        image.save(work / 'datasets/demo/val/GTmod2' / name, exif=exif if name == 'e.jpg' else None)
        Image.new('RGB', (24, 20)).save(work / 'datasets/demo/val/LRbicx2' / name)
    assert problems() == [
        'datasets: val: dataroot_lq: f.png is 20x24 here and 48x40 in dataroot_gt; scale 2 needs 40x48 there'
    ]


def test_gpus_of_other_machines_are_not_asked_for(problems, monkeypatch: pytest.MonkeyPatch):
    assert [*check_general({'is_train': True, 'dist': True, 'num_gpu': 8})] == [
        Problem(('num_gpu',), '8, but this machine has 0; auto takes all available ones')
    ]
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 4)
    assert not [*check_general({'is_train': True, 'dist': True, 'num_gpu': 8})]


def test_a_patch_larger_than_the_files(problems):
    edit = {'dataroot_gt': 'datasets/demo/val/GTmod2', 'dataroot_lq': 'datasets/demo/val/LRbicx2'}
    edits = {f'datasets:train:{key}': value for key, value in edit.items()} | {'datasets:train:io_backend:type': 'disk'}
    assert 'datasets: train: gt_size: 96 does not fit into c.png, 48 pixels wide or high; use at most 48' in problems(
        edits
    )


def test_all_mistakes_are_told_at_once(problems):
    edits = {'scael': 2, 'network_g:num_feat': 50, 'train:optim_g:lr': '1e-3', 'datasets:train:io_backend:type': 'disk'}
    name = 'is an LMDB; use io_backend: type: lmdb'
    assert problems(edits) == [
        "train: optim_g: lr: '1e-3' is text, not a number; write 1.0e-3, or in --force_yml !!float 1e-3",
        'scael: unknown; did you mean scale?',
        f'datasets: train: dataroot_gt: datasets/demo/train_HR_sub.lmdb {name}',
        f'datasets: train: dataroot_lq: datasets/demo/train_LR_bicubic_X2_sub.lmdb {name}',
        'network_g: ASID: num_feat must be a multiple of 4, got 50',
    ]


def test_a_mistake_on_the_command_line_is_told_as_such(problems):
    assert problems(None, 'network_g:num_blok=3', 'train:optim_g:lr=5e-4', 'train:amp=bf16') == [
        "--force_yml: train: optim_g: lr: '5e-4' is text, not a number; write 5.0e-4, or in --force_yml !!float 5e-4",
        '--force_yml: network_g: num_blok: unknown; did you mean num_block? (ASID)',
    ]
    assert problems(None, 'train:optim_g:lr=!!float 5e-4', 'val:tile=none') == []


def test_a_number_that_is_text_and_too_small_or_large_is_told_its_range(problems):
    """To write it as a number would not do."""
    assert problems(None, 'manual_seed=-1', 'datasets:train:dataset_enlarge_ratio=1e308') == [
        '--force_yml: manual_seed: -1 should be a whole number of at least 0 and at most 2147483648',
        '--force_yml: datasets: train: dataset_enlarge_ratio: 1e+308 should be a whole number of at least 1 and at '
        'most 10000000',
    ]


@pytest.mark.slow
def test_testing_has_its_own_needs(problems):
    demo_test = {'file': 'demo_test_ASID_x2.yml'}
    only_training = 'datasets: train: not for testing; use test and val (test_1, test_2 ...)'
    assert problems({'datasets:train': {'type': 'PairedImageDataset'}}, **demo_test) == [only_training]
    assert problems({'val:suffix': DELETED}, **demo_test) == ['val: suffix: missing; it must be text, or ~']
    assert problems({'val': {}}, **demo_test) == ['val: save_img: missing; it must be true or false']
    assert problems({'val': None}, **demo_test) == [
        'val: None should be a section (lines of key: value below it, indented)'
    ]
    Path('experiments/demo_ASID_x2/models/net_g_latest.pth').unlink()
    assert problems(**demo_test) == [
        f'path: pretrain_network_g: no file experiments/demo_ASID_x2/models/net_g_latest.pth in {Path.cwd()}; '
        'it should be weights, or ~'
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('lq', 'line'),
    [
        (
            {'a_s001': (64, 64)},
            'dataroot_lq: lacks 1 of the images of datasets/demo/train_HR_sub.lmdb, such as b_s001; both must have '
            'the same images',
        ),
        (
            {'a_s001': (64, 64), 'b_s001': (60, 64), 'c': (9, 9), 'd': (9, 9)},
            'dataroot_gt: lacks 2 of the images of datasets/demo/train_LR_bicubic_X2_sub.lmdb, such as c; both must '
            'have the same images',
        ),
        (
            {'a_s001': (64, 64), 'b_s001': (30, 32)},
            'dataroot_lq: b_s001 is 30x32 here and 120x128 in dataroot_gt; scale 2 needs 60x64 there',
        ),
    ],
    ids=['LR lacks one', 'GT lacks one', 'another scale'],
)
def test_lmdbs_that_disagree(problems, lq, line):
    folder = Path('datasets/demo/train_LR_bicubic_X2_sub.lmdb')
    shutil.rmtree(folder)
    write_lmdb(folder, lq)
    assert problems() == [f'datasets: train: {line}']


@pytest.mark.slow
def test_lmdbs_that_are_not_whole(problems):
    folder = Path('datasets/demo/train_HR_sub.lmdb')
    again = 'asid prepare demo makes it'
    meta = (folder / 'meta_info.txt').read_text()
    (folder / 'meta_info.txt').write_text(meta.splitlines()[0])
    assert problems() == [
        f'datasets: train: dataroot_gt: {folder} holds 2 images, but its meta_info.txt lists 1; {again} anew'
    ]
    (folder / 'meta_info.txt').write_text(meta + 'b_s001.png 120x128')
    assert problems() == [
        f"datasets: train: dataroot_gt: {folder}/meta_info.txt, line 3: 'b_s001.png 120x128' should be like "
        "'0001_s001.png (480,480,3) 1'"
    ]
    (folder / 'meta_info.txt').write_text(meta)
    (folder / 'data.mdb').write_bytes(b'not an LMDB')
    assert problems()[0].startswith(f'datasets: train: dataroot_gt: {folder} cannot be read as an LMDB (')
    (folder / 'data.mdb').unlink()
    assert problems() == [
        f'datasets: train: dataroot_gt: {folder} has no data.mdb, so it is not a complete LMDB; {again}'
    ]


def test_folders_that_disagree(problems):
    gt, lq = Path('datasets/demo/val/GTmod2'), Path('datasets/demo/val/LRbicx2')
    cv2.imwrite(str(lq / 'c.png'), np.zeros((12, 12, 3), np.uint8))
    assert problems() == [
        'datasets: val: dataroot_lq: c.png is 12x12 here and 48x50 in dataroot_gt; scale 2 needs 24x24 there'
    ]
    (lq / 'c.png').write_bytes(b'not an image')
    no_image = 'not an image in a supported format'
    assert problems() == [f'datasets: val: dataroot_lq: {lq}/c.png: {no_image}']
    (gt / 'c.png').unlink()
    assert problems() == [f'datasets: val: dataroot_gt: no partner in {gt} for c.png of {lq}']
    (gt / 'd.png').unlink()
    assert problems() == [f'datasets: val: dataroot_gt: no images in {gt}']


@pytest.mark.slow
@pytest.mark.parametrize('save', [True, False])
@pytest.mark.parametrize('file', ['demo_ASID_x2.yml', 'demo_test_ASID_x2.yml'])
def test_images_of_one_name_are_not_saved_as_one(problems, file: str, save: bool):
    """Of two formats, or of an LMDB with folders in its keys; where results are not saved it does not matter."""
    section = list(read(ROOT / 'options' / file)['datasets'])[-1]
    for side in ('GTmod2', 'LRbicx2'):
        root = Path('datasets/demo/val', side)
        Image.open(root / 'c.png').save(root / 'c.bmp')
        size = 40 if side == 'GTmod2' else 20
        write_lmdb(Path(f'{side}.lmdb'), {'a/d': (size, size), 'b/d': (size, size)})
    right = 'would be saved under the same name; rename one, or set val: save_img: false'
    for edits, names in (
        ({}, 'c.bmp and c.png'),
        ({'dataroot_gt': 'GTmod2.lmdb', 'dataroot_lq': 'LRbicx2.lmdb', 'io_backend': {'type': 'lmdb'}}, 'a/d and b/d'),
    ):
        given = {f'datasets:{section}:{key}': value for key, value in edits.items()} | {'val:save_img': save}
        line = f'datasets: {section}: dataroot_lq: {names} {right}'
        assert problems(given, file=file) == ([line] if save else [])


def test_folders_in_a_list_do_not_tell_images_apart(problems):
    """BasicSR looks for the partners of both in the LR folder itself."""
    root = Path('datasets/demo/val/GTmod2')
    for folder in ('a', 'b'):
        (root / folder).mkdir()
        shutil.copy(root / 'd.png', root / folder / 'd.png')
    Path('list.txt').write_text('a/d.png\nb/d.png\n')
    assert problems({'datasets:val:meta_info_file': 'list.txt'}) == [
        'datasets: val: meta_info_file: a/d.png and b/d.png would both be paired with d.png, because BasicSR drops '
        'folders'
    ]


def test_only_runs_that_use_the_plugin_are_checked(problems):
    edsr = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'upscale': 2, 'num_blok': 1}
    assert problems({'model_type': 'SRModel', 'network_g': edsr, 'scael': 2}) == []
    in_our_model = problems({'model_type': 'ASIDModel', 'network_g': edsr})
    assert in_our_model == ['network_g: num_blok: unknown; did you mean num_block? (EDSR)']


@pytest.mark.slow
def test_asid_in_a_model_of_basicsr(problems):
    of_basicsr = {'model_type': 'SRModel', 'train:optim_g:type': 'Adam'}
    assert problems(of_basicsr) == problems(of_basicsr | {'path:pretrain_network_g': 'packaged:x2'}) == []
    assert problems({'model_type': 'SRModel', 'train:grad_clip': 1.0, 'compile': True, 'logger:safetensors': True}) == [
        "train: optim_g: type: 'AdamW' is unknown; did you mean Adam?",
        'compile: read by ASIDModel only, and model_type is SRModel',
        'train: grad_clip: read by ASIDModel only, and model_type is SRModel',
        'logger: safetensors: read by ASIDModel only, and model_type is SRModel',
    ]
    discriminator = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3}
    gan = {'model_type': 'SRGANModel', 'train:optim_g:type': 'Adam', 'network_d': discriminator}
    gan['train:optim_d'] = {'type': 'Adam', 'lr': 1e-4}
    assert problems(gan | {'train:gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla'}}) == []


@pytest.mark.slow
def test_no_value_is_too_wrong_to_be_checked(problems, monkeypatch):
    """Whatever stands anywhere in the file, the answer is a list of problems, never a traceback.

    Each key gets two of the values; the campaign `options` tries more. Equal networks are built once.
    """
    built: dict[str, list[Problem]] = {}

    def built_once(key: tuple, options: dict, kinds: dict) -> list[Problem]:
        if repr(options) not in built:
            built[repr(options)] = list(check_built(key, options, kinds))
        return built[repr(options)]

    monkeypatch.setattr('asid_plugin.options.network.check_built', built_once)
    values = itertools.cycle((None, True, -1.5, 'x', [1, 'x'], {'type': ['x']}, None))
    problems({'network_g:num_block': 1})
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', 'bad.yml'])
    opt, _ = train.parse_options('.', is_train=True)
    parsed = ('phase', 'is_train', 'dist', 'rank', 'world_size')  # parse_options writes them

    def sections(section: dict) -> Iterator[dict]:
        yield section
        for value in section.values():
            if isinstance(value, dict):
                yield from sections(value)

    for section in sections(opt):
        for key in [key for key in section if key not in parsed and not (key == 'scale' and 'phase' in section)]:
            right = section[key]
            for wrong in itertools.islice(values, 2):
                section[key] = wrong
                assert all(str(problem) for problem in check_options(opt))
            section[key] = right
    assert check_options(opt) == []


@pytest.mark.slow
def test_checking_changes_neither_options_nor_random_numbers(problems):
    problems()
    sys.argv = ['train.py', '-opt', 'bad.yml']
    opt, _ = train.parse_options('.', is_train=True)
    checked = torch.rand(3)
    plain, _ = train.parse_options.__wrapped__('.', is_train=True)
    assert opt == plain
    assert type(opt) is type(plain)
    assert torch.equal(checked, torch.rand(3))


def test_an_option_file_that_cannot_be_read(problems, monkeypatch, capsys):
    for text, line in (
        (None, f'bad.yml in {Path.cwd()}: no such file'),
        ('name: a\nscale: [2\ntrain: 1', 'bad.yml: line 3: not YAML: '),
        ('# nothing', 'bad.yml: no options in it'),
    ):
        Path('bad.yml').unlink(missing_ok=True)
        if text:
            Path('bad.yml').write_text(text)
        monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', 'bad.yml'])
        with pytest.raises(SystemExit, match='2'):
            train.parse_options('.', is_train=True)
        assert capsys.readouterr().err.startswith(line)


def test_sets_of_one_name_are_refused(problems):
    val = DEMO.get('datasets:val') or read(ROOT / 'options/demo_ASID_x2.yml')['datasets']['val']
    assert problems({'datasets:val_2': {**val, 'name': 'other'}}) == []
    [line] = problems({'datasets:val_2': val})
    assert line.startswith(f'datasets: val_2: name: {val["name"]} is also the name of val; ')


@pytest.mark.parametrize(
    ('params', 'line'),
    [
        ({'backend': 'nccl', 'port': 29500}, None),
        ({'timeout': 1.5}, None),
        ({'timeout': '1e3'}, "dist_params: timeout: '1e3' is text, not a number; write 1.0e+3"),
        ({'timeout': 0}, 'dist_params: timeout: 0 should be a number of at least 1'),
        ({'timeout': True}, 'dist_params: timeout: True should be a number of at least 1'),
        ({'timeout': [3]}, 'dist_params: timeout: [3] should be a number of at least 1'),
        ({'timeout': 1e300}, 'dist_params: timeout: 1e+300 should be a number of at least 1'),
        ({'backend': 'ncl'}, "dist_params: backend: 'ncl' should be nccl or gloo; did you mean nccl?"),
        ({'time_out': 3}, 'dist_params: time_out: unknown; did you mean timeout?'),
    ],
)
def test_dist_params(problems, params: dict, line: str | None):
    assert [found[: len(line or '')] for found in problems({'dist_params': params})] == ([line] if line else [])


def test_dist_params_on_the_command_line_come_too_late():
    forced = [Forced(('dist_params', 'timeout'), 60), Forced(('train', 'total_iter'), 9)]
    [problem] = check_forced({'dist': True}, forced)
    assert str(problem) == 'dist_params: timeout: comes too late on the command line; write it into the option file'
    assert list(check_forced({'dist': False}, forced)) == []


@pytest.mark.slow
def test_a_real_run_ends_with_one_line_and_leaves_nothing(problems, work):
    problems({'network_g:num_blok': 3, 'path:resume_state': None})
    before = sorted(work.rglob('*'))
    result = fresh.run(['-m', 'asid_plugin', 'train', 'bad.yml'])
    assert (result.returncode, result.stdout) == (2, '')
    assert result.stderr == 'bad.yml: network_g: num_blok: unknown; did you mean num_block? (ASID)\n'
    assert sorted(work.rglob('*')) == before


@pytest.mark.slow
def test_of_two_processes_one_speaks(problems):
    problems({'network_g:num_blok': 3})
    results = fresh.together(['-m', 'asid_plugin', 'train', '-opt', 'bad.yml', '--launcher', 'pytorch'])
    assert [result.returncode for result in results] == [2, 2]
    said = ''.join(result.stderr for result in results)
    assert said.count('bad.yml: network_g: num_blok: unknown; did you mean num_block? (ASID)\n') == 1


@pytest.mark.parametrize(
    ('edits', 'raw', 'message'),
    [
        ({'type': 'RawPairedImageDataset'}, True, None),
        ({'type': 'CachedPairedImageDataset'}, False, None),
        (
            {'type': 'RawPairedImageDataset'},
            False,
            'train_HR_sub.lmdb holds PNG files, and there is no datasets/demo/train_HR_sub_raw.lmdb; '
            'asid prepare demo --raw makes it',
        ),
        ({}, True, 'train_HR_sub.lmdb holds raw pixels; use type: RawPairedImageDataset'),
        ({'type': 'CachedPairedImageDataset'}, True, 'holds raw pixels; use type: RawPairedImageDataset'),
        (
            {'type': 'RawPairedImageDataset', 'io_backend:type': 'disk'},
            True,
            'RawPairedImageDataset reads lmdb; for folders use CachedPairedImageDataset',
        ),
    ],
)
def test_raw_pixels_have_their_own_dataset(problems, work: Path, edits: Edits, raw: bool, message: str | None):
    if raw:
        for name, k in (('train_HR_sub', 1), ('train_LR_bicubic_X2_sub', 2)):
            shutil.rmtree(work / f'datasets/demo/{name}.lmdb')
            sizes = {'a_s001': (128 // k, 128 // k), 'b_s001': (120 // k, 128 // k)}
            write_lmdb(work / f'datasets/demo/{name}.lmdb', sizes, raw=True)
    found = problems({f'datasets:train:{key}': value for key, value in edits.items()})
    assert len(found) == bool(message)
    assert not message or re.search(message, found[0])


@pytest.mark.slow
def test_raw_pixels_beside_png_files_are_found(problems, work: Path):
    raw = {'datasets:train:type': 'RawPairedImageDataset'}
    for name, k in (('train_HR_sub', 1), ('train_LR_bicubic_X2_sub', 2)):
        sizes = {'a_s001': (128 // k, 128 // k), 'b_s001': (120 // k, 128 // k)}
        write_lmdb(work / f'datasets/demo/{name}_raw.lmdb', sizes, raw=True)
    assert problems(raw) == problems() == []
    shutil.rmtree(work / 'datasets/demo/train_HR_sub.lmdb')
    assert problems(raw) == []
    shutil.rmtree(work / 'datasets/demo/train_HR_sub_raw.lmdb')
    assert problems(raw) == [
        f'datasets: train: dataroot_gt: no folder datasets/demo/train_HR_sub_raw.lmdb in {work}; '
        'asid prepare demo --raw makes it'
    ]

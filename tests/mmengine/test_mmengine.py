"""ASID in MMEngine: the real Runner on small data, against BasicSR."""

import json
import os
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.data import build_dataset
from basicsr.metrics import calculate_metric
from basicsr.train import train_pipeline
from basicsr.utils.options import ordered_yaml
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.optim import MultiStepLR
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors.torch import save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import fresh
from asid_plugin.archs import ASID
from asid_plugin.checkpoints import LAYOUTS, CheckpointError, load_asid, read_state_dict, save_state_dict
from asid_plugin.extras import how_to_install
from asid_plugin.inference.tiling import Windows, tiled
from asid_plugin.layouts.author_layout import to_author_layout
from asid_plugin.locks import LockedError, lock_inside
from asid_plugin.mmengine import registry
from asid_plugin.mmengine.dataset import DatasetError
from asid_plugin.prepare import sub_images
from asid_plugin.prepare.photos import prepare_photos
from helpers import TINY, UNFORMATTED, Payload, command, held_elsewhere, write_pairs

asid_train, asid_test = command('mmengine', 'train'), command('mmengine', 'test')
ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'options' / 'mmengine'
NETWORK = {key: value for key, value in TINY.items() if key != 'type'}


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LMDBs of 16 sub-images of 64x64 and their half, the sub-images in folders, and three pairs for validation."""
    root = tmp_path_factory.mktemp('data')
    write_pairs(root / 'photos', 3, size=96)
    sub_images.prepare(root / 'photos' / 'GT', root, 'x', scales=[2], crop_size=64, step=32)
    write_pairs(root / 'val', 3)
    return root


@pytest.fixture
def tiny(data: Path, tmp_path: Path) -> Callable[..., Config]:
    """The config of ASID x2 on the small data: a tiny network, batch 4, 8 iterations, validation after 4."""
    val = {'name': 'val', 'data_root': str(data / 'val'), 'data_prefix': {'gt': 'GT', 'lq': 'LR'}}
    changes = {
        'model': {'generator': NETWORK},
        'train_dataloader': {
            'batch_size': 4,
            'num_workers': 0,
            'persistent_workers': False,
            'pin_memory': False,
            'dataset': {
                'data_root': str(data),
                'data_prefix': {'gt': 'x_HR_sub.lmdb', 'lq': 'x_LR_bicubic_X2_sub.lmdb'},
                'pipeline': {'1': {'lq_size': 16}},
            },
        },
        'val_dataloader': {'dataset': val},
        'test_dataloader': {'dataset': {'datasets': {'0': val}}},
        'param_scheduler': {'milestones': [4]},
        'train_cfg': {'max_iters': 8, 'val_interval': 4},
        'default_hooks': {'logger': {'interval': 1}, 'checkpoint': {'interval': 4, 'save_best': 'val/PSNR'}},
        'log_processor': {'window_size': 1},
    }

    def build(name: str = 'tiny', **more: Any) -> Config:
        cfg = Config.fromfile(CONFIGS / 'asid_x2_div2k.py')
        for change in (changes, more, {'work_dir': str(tmp_path / name), 'experiment_name': f'{tmp_path.name}_{name}'}):
            cfg.merge_from_dict(change)
        del cfg.test_dataloader.dataset.datasets[1:]
        return cfg

    return build


def run(cfg: Config, action: str = 'train') -> Runner:
    # an experiment's name stands for its Visualizer and its MessageHub, which live as long as the process
    cfg.experiment_name = f'{cfg.experiment_name}_{random.SystemRandom().random()}'
    runner = Runner.from_cfg(cfg)
    getattr(runner, action)()
    return runner


def scalars(work_dir: str | Path) -> list[dict[str, float]]:
    """The log of a run, a line for each iteration or validation."""
    [path] = Path(work_dir).glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def basicsr_options(options: dict, data: Path, iterations: int) -> dict:
    """The options of the same training."""
    roots = {'gt': 'x_HR_sub.lmdb', 'lq': 'x_LR_bicubic_X2_sub.lmdb'}
    options['manual_seed'] = 1234
    options['datasets']['train'] |= {f'dataroot_{side}': str(data / name) for side, name in roots.items()}
    options['datasets']['train'] |= {
        'io_backend': {'type': 'lmdb'},
        'num_worker_per_gpu': 2,
        'dataset_enlarge_ratio': 1,
    }
    options['datasets']['train'] |= {'persistent_workers': True}
    options['datasets']['val'] |= {
        f'dataroot_{side}': str(data / 'val' / name) for side, name in [('gt', 'GT'), ('lq', 'LR')]
    }
    options['train'] |= {
        'optim_g': {'type': 'AdamW', 'lr': 5e-4, 'weight_decay': 1e-4, 'betas': [0.9, 0.999]},
        'scheduler': {'type': 'MultiStepLR', 'milestones': [20], 'gamma': 0.5},
        'total_iter': iterations,
    }
    options['val'] |= {'val_freq': iterations, 'borders': 'zeros'}  # as the configs have it
    options['logger'] |= {'use_tb_logger': True, 'save_checkpoint_freq': iterations}
    return options


@pytest.mark.slow
def test_the_loss_curve_is_that_of_basicsr(
    options: dict, data: Path, tiny: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Fifty iterations over twelve epochs, from the seed to the last loss and figure, two workers each."""
    path = tmp_path / 'options.yml'
    path.write_text(yaml.dump(basicsr_options(options, data, 50), Dumper=ordered_yaml()[1]))
    monkeypatch.setattr(sys, 'argv', ['train', '-opt', str(path)])
    train_pipeline(str(tmp_path))
    log = EventAccumulator(str(tmp_path / 'tb_logger' / 'tiny')).Reload()
    expected = [event.value for event in log.Scalars('losses/l_pix')]

    workers = {'num_workers': 2, 'persistent_workers': True}
    length = {'max_iters': 50, 'val_interval': 50}
    run(tiny(train_dataloader=workers, train_cfg=length, param_scheduler={'milestones': [20]}))
    logged = scalars(tmp_path / 'tiny')
    losses = [line['loss_pix'] for line in logged if 'loss_pix' in line]
    assert len(losses) == len(expected) == 50
    assert min(expected) < 0.7 * expected[0]
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-5)
    for name in ('psnr', 'ssim'):
        figure = log.Scalars(f'metrics/val/{name}')[0].value
        assert logged[-1][f'val/{name.upper()}'] == pytest.approx(figure, rel=1e-5)


@pytest.mark.slow
def test_figures_are_basicsrs(tiny: Callable, data: Path, tmp_path: Path):
    """PSNR and SSIM of a validation against BasicSR's on the images that the hook writes, colours and borders too."""
    metrics = [{'type': 'PSNR'}, {'type': 'SSIM', 'crop_border': 3, 'test_y_channel': False}]
    cfg = tiny(default_hooks={'visualization': {'in_val': True}})
    cfg.val_evaluator = metrics
    run(cfg, 'val')
    figures = scalars(tmp_path / 'tiny')[-1]
    opts = [
        {'type': 'calculate_psnr', 'crop_border': 2, 'test_y_channel': True},
        {'type': 'calculate_ssim', 'crop_border': 3, 'test_y_channel': False},
    ]
    for name, opt in zip(('PSNR', 'SSIM'), opts, strict=True):
        expected = []
        for path in sorted((data / 'val' / 'GT').iterdir()):
            sr = cv2.imread(str(tmp_path / 'tiny' / 'visualization' / 'iter_0' / 'val' / path.name))
            expected.append(calculate_metric({'img': sr, 'img2': cv2.imread(str(path))}, opt))
        assert figures[f'val/{name}'] == pytest.approx(np.mean(expected), abs=1e-6)


@pytest.mark.slow
def test_a_resumed_training_goes_on(tiny: Callable, tmp_path: Path):
    """Eight iterations at once, and four and four: without chance in the data, the weights are the same, bit for bit.

    With averaged weights, and the best checkpoint kept.
    """
    cfgs = []
    for name in ('whole', 'parts'):
        cfg = tiny(name, custom_hooks=[{'type': 'EMAHook', 'momentum': 0.5}])
        cfg.train_dataloader.dataset.pipeline = cfg.val_dataloader.dataset.pipeline  # the images are of one size
        cfgs.append(cfg)
    whole, parts = cfgs
    run(whole)
    parts.train_cfg.max_iters = 4
    run(parts)
    shutil.rmtree(next((tmp_path / 'parts').glob('*/vis_data')).parent)
    parts.train_cfg.max_iters = 8
    parts.resume = True
    run(parts)

    ends = [torch.load(tmp_path / name / 'iter_8.pth', weights_only=False) for name in ('whole', 'parts')]
    for key in ('state_dict', 'ema_state_dict'):
        for name, value in ends[0][key].items():
            assert torch.equal(value, ends[1][key][name])
    name = 'generator.conv_up.weight'  # MMEngine saves the averaged weights as state_dict
    assert not torch.equal(ends[0]['state_dict'][name], ends[0]['ema_state_dict'][f'module.{name}'])
    logged = [line for line in scalars(tmp_path / 'parts') if 'lr' in line]
    assert [(line['iter'], line['lr']) for line in logged] == [(i, 2.5e-4) for i in (5, 6, 7, 8)]
    figures = {line['step']: line['val/PSNR'] for line in scalars(tmp_path / 'whole') if 'val/PSNR' in line}
    best = max(figures, key=figures.get)
    assert [path.name for path in (tmp_path / 'whole').glob('best*')] == [f'best_val_PSNR_iter_{best}.pth']


@pytest.mark.slow
def test_resuming_reads_no_old_batches(tiny: Callable, tmp_path: Path):
    """A checkpoint that says three million iterations resumes at once, in the epoch that these make."""
    run(tiny(train_cfg={'max_iters': 4}))
    path = tmp_path / 'tiny' / 'iter_4.pth'
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['meta']['iter'] = 3_000_001
    torch.save(checkpoint, path)
    resumed = run(tiny(train_cfg={'max_iters': 3_000_002}, resume=True))
    assert resumed.iter == 3_000_002
    assert resumed.train_dataloader.sampler.epoch == 750_000


@pytest.mark.slow
def test_mixed_precision(tiny: Callable, tmp_path: Path):
    """`--amp` on this machine's device; the loss is near float32's, but another."""
    for name, options in (('plain', []), ('mixed', ['--amp'])):
        path = tmp_path / f'{name}.py'
        tiny(name, train_cfg={'max_iters': 1}, val_dataloader=None, val_cfg=None, val_evaluator=None).dump(path)
        assert asid_train([str(path), *options]) == 0
    plain, mixed = (scalars(tmp_path / name)[0]['loss'] for name in ('plain', 'mixed'))
    assert mixed == pytest.approx(plain, rel=0.02)
    assert mixed != plain


@pytest.mark.slow
def test_one_work_folder_one_training(tiny: Callable, tmp_path: Path):
    """By MMEngine's own tools too; the same process may train there again."""
    work_dir = tmp_path / 'taken'
    cfg = tiny('taken', train_cfg={'max_iters': 1})
    with held_elsewhere(lock_inside(work_dir)) as holder, pytest.raises(LockedError, match=f'process {holder.pid} on '):
        run(cfg)
    assert not list(work_dir.glob('*.pth'))
    for _ in range(2):
        run(cfg)
    with held_elsewhere(lock_inside(work_dir)):  # it can be had again
        pass


@pytest.mark.slow
def test_two_processes(tiny: Callable, tmp_path: Path):
    """Three validation images on two ranks: every image is written, and the figures are one process's."""
    cfg = tiny('both', default_hooks={'visualization': {'in_val': True}}, train_dataloader={'batch_size': 2})
    cfg.dump(tmp_path / 'both.py')
    words = ['-c', UNFORMATTED, 'mmengine', 'train', 'both.py', '--launcher', 'pytorch']
    for done in fresh.together(words, tmp_path):
        assert done.returncode == 0, done.stderr[-3000:]
        assert not any(words in done.stdout + done.stderr for words in ('terminate called', 'Grad strides'))
    written = sorted(path.name for path in (tmp_path / 'both' / 'visualization' / 'iter_8' / 'val').iterdir())
    assert written == ['0.png', '1.png', '2.png']
    run(tiny('alone', model={'pretrained': str(tmp_path / 'both' / 'iter_8.pth')}), 'val')
    figures, expected = (scalars(tmp_path / name)[-1] for name in ('both', 'alone'))
    for key in ('val/PSNR', 'val/SSIM'):
        assert figures[key] == pytest.approx(expected[key], abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['lmdb', 'folder'])
@pytest.mark.parametrize('phase', ['train', 'val'])
def test_samples_are_basicsrs(tiny: Callable, data: Path, kind: str, phase: str):
    roots = {'gt': 'x_HR_sub', 'lq': 'x_LR_bicubic/X2_sub'}
    if kind == 'lmdb':
        roots = {'gt': 'x_HR_sub.lmdb', 'lq': 'x_LR_bicubic_X2_sub.lmdb'}
    cfg = tiny().train_dataloader.dataset if phase == 'train' else tiny().val_dataloader.dataset
    ours = registry.DATASETS.build({**cfg, '_scope_': 'asid', 'data_root': str(data), 'data_prefix': roots})
    opt = {'type': 'PairedImageDataset', 'name': 'x', 'phase': phase, 'scale': 2, 'gt_size': 32}
    copy = data.parent / f'{data.name}_{kind}_{phase}'  # no process opens an LMDB twice
    shutil.copytree(data, copy)
    opt |= {f'dataroot_{side}': str(copy / root) for side, root in roots.items()}
    opt |= {'io_backend': {'type': 'disk' if kind == 'folder' else kind}, 'use_hflip': True, 'use_rot': True}
    theirs = build_dataset(opt)
    theirs.paths.sort(key=lambda path: path['gt_path'])  # a folder's are in the order of the file system
    preprocess = registry.MODELS.build({'type': 'SRDataPreprocessor', '_scope_': 'asid'})
    assert len(ours) == len(theirs) == 16
    samples, expected = [], []
    for source, found in ((ours, samples), (theirs, expected)):
        random.seed(3)
        found += [source[i] for i in range(16)]
    for sample, other in zip(samples, expected, strict=True):
        batch = preprocess({'inputs': [sample['inputs']], 'data_samples': [sample['data_samples']]}, training=True)
        assert torch.equal(batch['inputs'][0], other['lq'])
        assert torch.equal(batch['data_samples'][0].gt, other['gt'])


@pytest.mark.slow
@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'data_prefix': {'gt': 'GT', 'lq': 'nowhere'}}, r'/nowhere: no such folder'),
        ({'data_prefix': {'gt': 'GT', 'lq': 'nowhere.lmdb'}}, r'/nowhere\.lmdb: not an LMDB of images, .*meta'),
        ({'data_prefix': {'gt': 'GT', 'lq': '..'}}, r'/\.\.: no images in it'),
        (
            {'data_prefix': {'gt': 'GT', 'lq': '../photos/GT'}, 'filename_tmpl': '{}x2'},
            r'6 images have no partner, .*0',
        ),
        ({'data_prefix': {'gt': 'GT'}}, "'lq' is missing"),
    ],
    ids=str,
)
def test_data_that_do_not_fit_are_refused_in_one_line(
    tiny: Callable, tmp_path: Path, capsys: pytest.CaptureFixture, change: dict, message: str
):
    cfg = tiny()
    cfg.val_dataloader.dataset.pop('data_prefix')
    cfg.val_dataloader.dataset.update(change)
    cfg.dump(tmp_path / 'bad.py')
    assert asid_train([str(tmp_path / 'bad.py')]) == 2
    assert re.search(message, capsys.readouterr().err.splitlines()[-1])


@pytest.mark.slow
def test_images_that_do_not_fit(tiny: Callable, data: Path):
    cfg = {**tiny().val_dataloader.dataset, '_scope_': 'asid'}
    with pytest.raises(DatasetError, match=r'GT/0\.png: 48x48 pixels; it should have 72x72, 3 times .*LR/0\.png'):
        registry.DATASETS.build({**cfg, 'scale': 3})
    folder = data / 'damaged'
    folder.mkdir()
    (folder / '0.png').write_bytes(b'no image')
    with pytest.raises(DatasetError, match=r'damaged/0\.png: not an image in a supported format'):
        registry.DATASETS.build({**cfg, 'data_root': str(folder), 'data_prefix': {'lq': ''}})


@pytest.mark.slow
def test_raw_lmdbs_give_the_same_samples(tiny: Callable, data: Path, tmp_path: Path):
    sub_images.prepare(data / 'photos' / 'GT', tmp_path, 'x', scales=[2], crop_size=64, step=32, raw=True)
    samples = []
    for kind in ('', '_raw'):
        prefix = {'gt': f'x_HR_sub{kind}.lmdb', 'lq': f'x_LR_bicubic_X2_sub{kind}.lmdb'}
        cfg = {**tiny().train_dataloader.dataset, '_scope_': 'asid', 'data_root': str(tmp_path), 'data_prefix': prefix}
        source = registry.DATASETS.build(cfg)
        random.seed(3)
        samples.append([source[i] for i in range(16)])
    for sample, raw in zip(*samples, strict=True):
        assert torch.equal(sample['inputs'], raw['inputs'])
        assert torch.equal(sample['data_samples'].gt, raw['data_samples'].gt)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('fault', 'message'),
    [
        ('half', r'^error: train_dataloader: \S*/LR/1\.png: damaged or cut short$'),
        ('grey', r'^error: train_dataloader: \S*/LR/1\.png: it is grey, but other images have colours; .*$'),
        ('middle', r'^error: train_dataloader: \S*/LR/1\.png: damaged or cut short$'),
    ],
)
def test_a_bad_image_ends_a_training_in_one_line(
    tiny: Callable, tmp_path: Path, capsys: pytest.CaptureFixture, fault: str, message: str
):
    write_pairs(tmp_path / 'pairs', 4)
    path = tmp_path / 'pairs' / 'LR' / '1.png'
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    if fault == 'grey':
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    else:
        path.write_bytes(content[: len(content) // 2] if fault == 'half' else content)
    folders = {'data_root': str(tmp_path / 'pairs'), 'data_prefix': {'gt': 'GT', 'lq': 'LR'}}
    tiny(train_dataloader={'num_workers': 1, 'dataset': folders}).dump(tmp_path / 'bad.py')
    assert asid_train([str(tmp_path / 'bad.py')]) == 2
    assert re.search(message, capsys.readouterr().err.splitlines()[-1])


@pytest.mark.slow
def test_too_few_images_for_a_batch(tiny: Callable, tmp_path: Path, capsys: pytest.CaptureFixture):
    tiny(train_dataloader={'batch_size': 17}).dump(tmp_path / 'big.py')
    assert asid_train([str(tmp_path / 'big.py')]) == 2
    assert '16 images for training, fewer than the batch of 17' in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize('saved', ['basicsr', 'authors', 'another', 'none'])
def test_checkpoints_that_are_tested(tiny: Callable, tmp_path: Path, capsys: pytest.CaptureFixture, saved: str):
    """The command takes any checkpoint of the network and says what is wrong with another."""
    net = ASID(**{**NETWORK, 'num_block': 2 if saved == 'another' else 1})
    path = tmp_path / 'weights.pth'
    if saved != 'none':
        torch.save(to_author_layout(net.state_dict()) if saved == 'authors' else {'params': net.state_dict()}, path)
    tiny('tested').dump(tmp_path / 'tested.py')
    if saved in ('another', 'none'):
        assert asid_test([tmp_path / 'tested.py', path]) == 2
        wrong = 'num_block is 2 there and 1 here' if saved == 'another' else 'no such file'
        assert wrong in capsys.readouterr().err.splitlines()[-1]
        return
    assert asid_test([str(tmp_path / 'tested.py'), str(path)]) == 0
    sr = cv2.imread(str(tmp_path / 'tested' / 'visualization' / 'test' / 'val' / '1.png'))
    lq = cv2.imread(
        str(Path(Config.fromfile(tmp_path / 'tested.py').val_dataloader.dataset.data_root) / 'LR' / '1.png')
    )
    x = torch.from_numpy(lq[..., ::-1].transpose(2, 0, 1).astype(np.float32) / 255)[None]
    expected = net.eval()(x)[0].detach().clamp(0, 1).mul(255).numpy().transpose(1, 2, 0)[..., ::-1]
    assert np.abs(sr - expected).max() <= 0.501


@pytest.mark.slow
@pytest.mark.parametrize('layout', LAYOUTS)
def test_load_from_takes_safetensors(tiny: Callable, tmp_path: Path, layout: str):
    weights = ASID(**NETWORK).state_dict()
    save_state_dict(weights, tmp_path / 'weights.safetensors', layout)
    runner = Runner.from_cfg(tiny(load_from=str(tmp_path / 'weights.safetensors')))
    runner.load_or_resume()
    loaded = runner.model.generator.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in weights.items())


def test_load_from_takes_safetensors_of_omnisr(tiny: Callable, tmp_path: Path):
    network = {'type': 'OmniSR', 'num_feat': 16, 'num_block': 1, 'upscale': 2}
    cfg = tiny(model={'generator': {'_delete_': True, **network}}, load_from=str(tmp_path / 'weights.safetensors'))
    weights = registry.MODELS.build(network).state_dict()
    save_file(weights, tmp_path / 'weights.safetensors')
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    loaded = runner.model.generator.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in weights.items())


@pytest.mark.parametrize(
    ('saved', 'message'),
    [
        ('neosr', "mean neosr's ASID"),
        ('neosr without biases', "mean neosr's ASID"),
        ('teacher and student', 'several networks in it: teacher, student'),
    ],
)
def test_load_from_refuses_what_load_asid_refuses(tiny: Callable, tmp_path: Path, saved: str, message: str):
    weights = ASID(**NETWORK).state_dict()
    authors = to_author_layout(weights)
    contents: dict[str, Any] = {
        'neosr': {'params': authors},
        'neosr without biases': {key: value for key, value in authors.items() if 'rel_pos_bias' not in key},
        'teacher and student': {f'{name}.{key}': weights[key] for name in ('teacher', 'student') for key in weights},
    }
    torch.save(contents[saved], tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=message):
        load_asid(tmp_path / 'a.pth')
    runner = Runner.from_cfg(tiny(load_from=str(tmp_path / 'a.pth')))
    with pytest.raises(CheckpointError, match=rf'a\.pth: .*{message}'):
        runner.load_or_resume()


def test_load_from_takes_the_packages_own_weights(tiny: Callable):
    runner = Runner.from_cfg(tiny(load_from='packaged:x2', model={'generator': {'num_feat': 48, 'num_block': 3}}))
    runner.load_or_resume()
    loaded = runner.model.generator.state_dict()
    assert all(torch.equal(loaded[key], value.float()) for key, value in read_state_dict('packaged:x2').items())


@pytest.mark.parametrize(
    ('content', 'options', 'message'),
    [
        (None, [], 'bad.py: FileNotFoundError: '),
        ('model = dict(', [], 'bad.py: SyntaxError: '),
        ('model = dict(generator=network)', [], "bad.py: NameError: name 'network' is not defined"),
        ('', ['--launcher', 'pytorch'], 'torchrun --nproc_per_node=N -m asid_plugin mmengine'),
    ],
)
def test_what_is_wrong_with_a_command_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture, content: str | None, options: list[str], message: str
):
    if content is not None:
        (tmp_path / 'bad.py').write_text(content)
    assert asid_train([str(tmp_path / 'bad.py'), *options]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_the_example_in_the_documentation(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The config for photographs of the user, cut short; then what it trained is tested."""
    example = re.search(r'```python\n# mine_x2\.py\n(.*?)```', (ROOT / 'docs/mmengine.md').read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'options').symlink_to(ROOT / 'options')
    (tmp_path / 'mine_x2.py').write_text(example[1])
    write_pairs(tmp_path / 'mine', 4, size=144)
    prepare_photos([tmp_path / 'mine' / 'GT'], Path('datasets/photos'), [2], 128, 1)
    for name in ('Set5', 'Set14', 'B100', 'Urban100'):
        for ours, theirs in (('GTmod2', 'GT'), ('LRbicx2', 'LR')):
            shutil.copytree(data / 'val' / theirs, tmp_path / 'datasets' / name / ours)
    short = ['model.generator.num_feat=16', 'model.generator.num_block=1', 'train_dataloader.num_workers=1']
    short += ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'experiment_name=readme']
    assert asid_train(['mine_x2.py', '--cfg-options', *short]) == 0
    short = [*short[:2], 'experiment_name=readme_test']
    assert asid_test(['mine_x2.py', 'work_dirs/mine_x2/iter_2.pth', '--cfg-options', *short]) == 0
    [log] = Path('work_dirs/mine_x2').glob('*/*.json')
    tested = json.loads(log.read_text())
    assert list(scalars('work_dirs/mine_x2')[-1])[:2] == ['held_out/PSNR', 'held_out/SSIM']
    assert Path('work_dirs/mine_x2/best_held_out_PSNR_iter_2.pth').is_file()
    assert {f'{name}/SSIM' for name in ('Set5', 'Set14', 'B100', 'Urban100')} <= set(tested)
    assert len(list(Path('work_dirs/mine_x2/visualization/test').glob('*/*.png'))) == 12


@pytest.mark.parametrize('tile', [16, None])
@pytest.mark.parametrize('borders', ['flush', 'zeros', None])
def test_tiles_and_prediction_without_ground_truth(tile: int | None, borders: str | None):
    torch.manual_seed(0)
    chosen = {'borders': borders} if borders else {}
    running = {} if borders == 'zeros' else {'feather': True, 'windows': Windows(8)}
    model = registry.MODELS.build(
        {'type': 'SuperResolver', 'generator': TINY, 'pixel_loss': {'type': 'L1Loss'}, 'tile': tile, 'tile_overlap': 4}
        | chosen
        | {'_scope_': 'asid'}
    ).eval()
    image = torch.randint(0, 256, (3, 20, 28), dtype=torch.uint8)
    with torch.no_grad():
        [sample] = model.predict(model.data_preprocessor({'inputs': [image]})['inputs'])
        expected = tiled(model.generator, image[None, [2, 1, 0]] / 255, 2, tile, 4, **running)
        zeros = model.generator(image[None, [2, 1, 0]] / 255)
    assert sample.sr.shape == (3, 40, 56) and sample.sr.dtype == torch.uint8
    assert torch.equal(sample.sr, (expected[0, [2, 1, 0]].clamp(0, 1) * 255).round().byte())
    if tile is None:
        assert torch.equal(expected, zeros) == (borders == 'zeros')


def test_mistyped_borders_are_refused():
    with pytest.raises(ValueError, match='borders must be flush or zeros'):
        registry.MODELS.build(
            {'type': 'SuperResolver', 'generator': TINY, 'pixel_loss': {'type': 'L1Loss'}, 'borders': 'zero'}
            | {'_scope_': 'asid'}
        )


def test_a_deeper_network_starts_from_a_shallower_one(tmp_path: Path):
    torch.save({'params': ASID(**NETWORK).state_dict()}, tmp_path / 'one.pth')
    model = registry.MODELS.build(
        {'type': 'SuperResolver', 'generator': {**TINY, 'num_block': 2}, 'pixel_loss': {'type': 'L1Loss'}}
        | {'pretrained': str(tmp_path / 'one.pth'), 'strict_load': False, '_scope_': 'asid'}
    )
    source = read_state_dict(tmp_path / 'one.pth')
    assert torch.equal(model.generator.body[0].conv.weight, source['body.0.conv.weight'])


@pytest.mark.parametrize('scale', [2, 3, 4])
@pytest.mark.parametrize('name', ['ASID', 'ASID_D8'])
def test_configs_are_the_recipe(name: str, scale: int):
    """Each config against the option file of the same training."""
    cfg = Config.fromfile(CONFIGS / f'{name.lower()}_x{scale}_div2k.py')
    opt = yaml.safe_load((ROOT / 'options' / f'train_{name}_x{scale}.yml').read_text())
    network, data, training = opt['network_g'], opt['datasets']['train'], opt['train']
    assert cfg.model.generator == network and cfg.model.pixel_loss == training['pixel_opt']
    dataset, val = cfg.train_dataloader.dataset, cfg.val_dataloader.dataset
    for ours, theirs in ((dataset, data), (val, opt['datasets']['val'])):
        assert ours.scale == opt['scale'] and ours.name == theirs['name']
        for side in ('gt', 'lq'):
            assert f'{ours.data_root}/{ours.data_prefix[side]}' == theirs[f'dataroot_{side}']
    assert dataset.pipeline[1] == {'type': 'PairedRandomCrop', 'lq_size': data['gt_size'] // scale}
    assert cfg.train_dataloader.batch_size == data['batch_size_per_gpu']
    optimizer, schedule = cfg.optim_wrapper.optimizer, cfg.param_scheduler
    assert {**optimizer, 'betas': list(optimizer.betas)} == {**training['optim_g'], 'weight_decay': 1e-4, 'fused': True}
    assert (schedule.milestones, schedule.gamma) == (training['scheduler']['milestones'], 0.5)
    assert cfg.train_cfg.max_iters == training['total_iter'] and cfg.randomness.seed == opt['manual_seed']
    sets = {
        section['name']: section
        for section in yaml.safe_load((ROOT / 'options' / f'test_{name}_x{scale}.yml').read_text())['datasets'].values()
    }
    for test_set in cfg.test_dataloader.dataset.datasets:
        theirs = sets.pop(test_set.name)
        assert [f'{test_set.data_root}/{test_set.data_prefix[s]}' for s in ('gt', 'lq')] == [
            theirs[f'dataroot_{s}'] for s in ('gt', 'lq')
        ]
    assert not sets


@pytest.mark.slow
def test_registration_is_lazy():
    """Naming the registries imports no part of them; ASID stays in MMEngine's own MODELS."""
    code = """
        import sys, asid_plugin.mmengine, asid_plugin.mmengine.registry as registry
        assert not {'asid_plugin.mmengine.model', 'mmcv', 'basicsr'} & {*sys.modules}
        from mmengine.logging import HistoryBuffer
from mmengine.registry import MODELS, TRANSFORMS
        assert MODELS.get('asid.SuperResolver').__module__ == 'asid_plugin.mmengine.model'
        assert registry.MODELS.get('ASID') is MODELS.get('ASID') is not None
        assert MODELS.get('SuperResolver') is None
        assert registry.TRANSFORMS.get('ImageToTensor') is TRANSFORMS.get('ImageToTensor') is not None
    """
    code = '\n'.join(line.strip() for line in code.splitlines())
    done = fresh.run(['-c', code])
    assert done.returncode == 0, done.stderr
    assert 'ASID' in ROOT_MODELS.module_dict


@pytest.mark.slow
def test_mmcv_is_asked_for():
    """Before a config is read, and with both packages that have it: one of them may spoil the other."""
    code = "import sys; sys.modules['mmcv'] = None; import asid_plugin.mmengine"
    done = fresh.run(['-c', code])
    said = f'mmcv is not installed: install mmcv, or mmcv-lite by {how_to_install("mmengine")}'
    assert done.stderr.endswith(f'ModuleNotFoundError: {said}\n')


class Exploit:
    def __reduce__(self) -> tuple:
        return os.system, ('true',)


class Reach:
    """Asks for what leads from an allowed class to everything else."""

    def __reduce__(self) -> tuple:
        from mmengine.logging import HistoryBuffer

        return getattr, (HistoryBuffer.mean, '__globals__')


@pytest.mark.slow
def test_a_checkpoint_with_code_is_not_resumed(tiny: Callable, tmp_path: Path):
    run(tiny(train_cfg={'max_iters': 1}))
    path = tmp_path / 'tiny' / 'iter_1.pth'
    checkpoint = torch.load(path, weights_only=False)
    torch.save(checkpoint | {'hidden': Exploit()}, path)
    with pytest.raises(CheckpointError, match='system'):
        CheckpointLoader.load_checkpoint(str(path), 'cpu')
    torch.save(checkpoint | {'hidden': Reach()}, path)
    assert CheckpointLoader.load_checkpoint(str(path), 'cpu')['hidden'] is None


class Forged:
    """An array of objects over a pointer that is none, in MMEngine's log."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def test_nothing_that_a_checkpoint_says_is_called(tmp_path: Path):
    forged = Forged(np.ndarray, (1,), 'O', b'A' * 64)
    torch.save({'state_dict': {}, 'message_hub': {'log_scalars': {'loss': forged}}}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='message_hub: the log of loss is not a row of numbers'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), 'cpu')
    log = {'log_scalars': {'loss': Forged(HistoryBuffer, forged, [1])}}
    torch.save({'state_dict': {}, 'message_hub': log}, tmp_path / 'a.pth')
    read = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), 'cpu')
    assert [len(row) for row in read['message_hub']['log_scalars']['loss'].data] == [0, 0]
    torch.save({'state_dict': {}, 'code': Payload()}, tmp_path / 'b.pth')
    with pytest.raises(CheckpointError, match=r'b.pth: refused: it holds Python objects .* \(pathlib.Path\)'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'b.pth'), 'cpu')


@pytest.mark.parametrize(('resumed', 'fits'), [(True, True), (False, False), ('x', False), (1, False)], ids=str)
@pytest.mark.parametrize('part', ['log_scalars', 'runtime_info'])
def test_what_a_log_holds_is_resumed(tmp_path: Path, part: str, resumed: object, fits: bool):
    """MMEngine takes any value, and ends with an AssertionError where the log has its next entry."""
    log: dict[str, dict] = {
        'log_scalars': {},
        'runtime_info': {},
        'resumed_keys': {'train/loss': resumed, 'gone': False},
    }
    log[part]['train/loss'] = HistoryBuffer([1.0], [1]) if part == 'log_scalars' else 1
    torch.save({'state_dict': {}, 'message_hub': log}, tmp_path / 'a.pth')
    with nullcontext() if fits else pytest.raises(CheckpointError, match='a.pth: message_hub: train/loss exists, but'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), 'cpu')


@pytest.mark.parametrize('meta', [{'iter': 'x'}, {'iter': -1}, {'epoch': 2**70}, {'epoch': True}, [1]], ids=str)
def test_counts_of_a_checkpoint_are_whole_numbers(tmp_path: Path, meta: object):
    torch.save({'state_dict': {}, 'meta': meta}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='a.pth: meta: '):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), 'cpu')


@pytest.mark.parametrize('suffix', ['.yml', '.yaml', '.json', '.py.yml'])
def test_a_config_that_looks_like_data_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    """MMEngine loads YAML by a loader that runs what it names."""
    monkeypatch.chdir(tmp_path)
    config = Path(f'a{suffix}')
    config.write_text('evil: !!python/object/apply:os.mkdir [harm]\nmodel: {}\n')
    for start in (asid_train([config]), asid_test([config, 'packaged:x2'])):
        assert start == 2
    assert [path.name for path in tmp_path.iterdir()] == [config.name]
    assert f'{config}: a config of MMEngine should be a .py file' in capsys.readouterr().err


def test_a_config_without_its_sections_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path('a.py').write_text('model = dict()\n')
    assert asid_train(['a.py', '--amp']) == 2
    assert 'a.py: it has no train_dataloader, train_cfg, optim_wrapper; ' in capsys.readouterr().err
    assert asid_test(['a.py', 'packaged:x2']) == 2
    assert 'a.py: it has no test_dataloader, test_cfg; ' in capsys.readouterr().err


@pytest.mark.parametrize(
    'info',
    [
        {'sampler_seed': 'x'},
        {'sampler_seed': 2**64},
        {'best_score': 'x'},
        {'best_score_a': None},
        {'keep_ckpt_ids': ['/../../x']},
        {'keep_ckpt_ids': 3},
    ],
    ids=str,
)
def test_a_log_that_no_training_goes_on_with(tmp_path: Path, info: dict[str, object]):
    torch.save({'state_dict': {}, 'message_hub': {'runtime_info': info}}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=f'a.pth: message_hub: {next(iter(info))} cannot be '):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), 'cpu')


@pytest.mark.parametrize('key', ['iter', 'seed'])
@pytest.mark.parametrize(('levels', 'message'), [(8, 'meta: {} is '), (60, 'its containers, with repeated references')])
def test_a_shared_value_is_named_in_no_time(tmp_path: Path, key: str, levels: int, message: str):
    value: object = ()
    for _ in range(levels):
        value = value, value
    torch.save({'state_dict': {}, 'meta': {'iter': 0, key: value}}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=f'a.pth: {message.format(key)}'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), 'cpu')


@pytest.mark.parametrize(
    'change',
    [
        {'step': 1},
        {'milestones': 3},
        {'milestones': Counter({5: 'x'})},
        {'gamma': 'x'},
        {'gamma': [0.5]},
        {'optimizer': None},
        {'param_name': 'params'},
        {'last_step': {}},
        {'begin': None},
    ],
    ids=str,
)
def test_the_state_of_a_schedule_must_be_one(change: dict[str, object]):
    optimizer = torch.optim.Adam([torch.zeros(1)], 0.5)
    schedule = MultiStepLR(optimizer, [1, 3])
    state = schedule.state_dict()
    lr, values = optimizer.param_groups[0]['lr'], dict(vars(schedule))
    schedule.load_state_dict({**state, 'milestones': Counter({1: 1, 3: 1, 7: 1})})
    assert optimizer.param_groups[0]['lr'] == lr and vars(schedule) == values | {'milestones': schedule.milestones}
    with pytest.raises((TypeError, ValueError)):
        schedule.load_state_dict({**state, **change})

"""Interrupted trainings of MMEngine resume where they stopped, from the newest readable checkpoint."""

import logging
import os
import pickle
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import ConcatDataset, DefaultSampler, RepeatDataset
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from tiny_configs import NETWORK, make, tiny_config, write_data
from torch.utils.data import BatchSampler

import asid_plugin.mmengine
from asid_plugin.archs import ASID
from asid_plugin.compat.mmengine_saving import ResumeError
from asid_plugin.hosts.mmengine import registries
from asid_plugin.layouts.author_layout import to_author_layout
from asid_plugin.mmengine import registry
from asid_plugin.mmengine.order import Draw, Order, Place, seeded
from forked import together
from helpers import command

asid_train = command('mmengine', 'train')
Tiny = Callable[..., Config]


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'), num_val=1)


@pytest.fixture
def tiny(data: Path, tmp_path: Path) -> Tiny:
    """A config of 7 pairs in batches of 2, with averaged weights, saved after every second iteration."""

    def build(name: str = 'tiny', max_iters: int = 4, **more: Any) -> Config:
        changes = {
            'param_scheduler': {'milestones': [4]},
            'train_cfg': {'max_iters': max_iters, 'val_interval': 3},
            'custom_hooks': [{'type': 'EMAHook', 'momentum': 0.5}],
            'default_hooks': {'logger': {'interval': 1}, 'checkpoint': {'interval': 2, 'save_best': 'val/PSNR'}},
            'visualizer': {'vis_backends': []},
        }
        return tiny_config(data, tmp_path / name, changes, more)

    return build


def end(path: Path) -> dict[str, Any]:
    """The weights, averaged weights and the optimizer's numbers of a checkpoint, by name."""
    checkpoint = torch.load(path, weights_only=False)
    tensors = {f'{kind}.{key}': checkpoint[kind][key] for kind in _KINDS for key in checkpoint[kind]}
    for number, state in checkpoint['optimizer']['state'].items():
        tensors |= {f'optimizer.{number}.{key}': torch.as_tensor(value) for key, value in state.items()}
    return tensors


_KINDS = ('state_dict', 'ema_state_dict')


def assert_same_end(one: Path, other: Path) -> None:
    ends = end(one), end(other)
    assert ends[0].keys() == ends[1].keys()
    assert [key for key, value in ends[0].items() if not torch.equal(value, ends[1][key])] == []


@registries()['DATA_SAMPLERS'].register_module()
class OtherBatches(BatchSampler):
    """Batches that need not be made of indices that follow each other."""


@pytest.mark.slow
@pytest.mark.parametrize(
    'loader',
    [
        {'drop_last': False},
        {'num_workers': 2, 'persistent_workers': True},
        {'sampler': {'_delete_': True, 'type': 'InfiniteSampler', 'seed': 3}},
        {'drop_last': False, 'batch_sampler': {'type': 'OtherBatches', 'drop_last': True}},
    ],
    ids=['incomplete batches', 'workers', 'infinite sampler', 'batches of another sampler'],
)
def test_interrupted_twice_it_ends_as_undisturbed(tiny: Tiny, tmp_path: Path, loader: dict[str, Any]):
    """Bit for bit, with random crops, over three epochs; the interruptions come in the middle of two."""
    saving = {'checkpoint': {'interval': 100, 'save_best': None}}  # and at the end, always
    settings = {'train_dataloader': loader, 'default_hooks': saving, 'val_dataloader': None, 'val_cfg': None}
    settings['val_evaluator'] = None
    make(tiny('whole', 9, **settings)).train()
    for stop in (2, 7, 9):
        cfg = tiny('parts', 9, **settings, resume=True)
        cfg.train_cfg.max_iters = stop
        make(cfg).train()
    assert_same_end(tmp_path / 'whole' / 'iter_9.pth', tmp_path / 'parts' / 'iter_9.pth')


@registry.HOOKS.register_module()
class Interruption(Hook):
    """Ends a training at an iteration: in its validation, or when its checkpoint is made."""

    def __init__(self, iteration: int, at: str) -> None:
        self.iteration = iteration
        self.at = at

    def before_val(self, runner: Runner) -> None:
        if self.at == 'val' and runner.iter == self.iteration:
            raise KeyboardInterrupt

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if self.at == 'save' and checkpoint['meta']['iter'] == self.iteration:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupted_validation_is_made_up_for(tiny: Tiny, tmp_path: Path):
    """The interrupted validation has the best value; the training then continues as if undisturbed."""
    val = {'train_cfg': {'val_interval': 2}}
    make(tiny('whole', 4, **val)).train()
    cfg = tiny('parts', 4, **val)
    cfg.custom_hooks.append({'type': 'Interruption', 'iteration': 4, 'at': 'val'})
    with pytest.raises(KeyboardInterrupt):
        make(cfg).train()
    runner = make(tiny('parts', 4, **val, resume=True))
    runner.train()
    assert_same_end(tmp_path / 'whole' / 'iter_4.pth', tmp_path / 'parts' / 'iter_4.pth')
    infos = [
        torch.load(tmp_path / name / 'iter_4.pth', weights_only=False)['message_hub']['runtime_info']
        for name in ('whole', 'parts')
    ]
    assert infos[0]['best_score'] == infos[1]['best_score']
    assert Path(infos[1]['best_ckpt']) == tmp_path / 'parts' / 'best_val_PSNR_iter_4.pth'
    assert sorted(path.name for path in (tmp_path / 'parts').glob('best*')) == ['best_val_PSNR_iter_4.pth']
    again = make(tiny('parts', 4, **val, resume=True))
    before = log_of(again)  # a runner that was made in the same second has the same log
    again.train()  # at its end, with nothing left to do
    assert 'Iter(val)' not in log_of(again).removeprefix(before)


def log_of(runner: Runner) -> str:
    return Path(runner.log_dir, f'{runner.timestamp}.log').read_text()


@pytest.mark.slow
def test_a_save_that_fails_removes_nothing(tiny: Tiny, tmp_path: Path):
    """Where one checkpoint is kept, the last stays until the next is whole."""
    keep = {'default_hooks': {'checkpoint': {'max_keep_ckpts': 1, 'save_best': None}}}
    cfg = tiny(**keep)
    cfg.custom_hooks.append({'type': 'Interruption', 'iteration': 4, 'at': 'save'})
    with pytest.raises(KeyboardInterrupt):
        make(cfg).train()
    assert [path.name for path in (tmp_path / 'tiny').glob('*.pth')] == ['iter_2.pth']
    runner = make(tiny(**keep, resume=True))
    runner.train()
    assert 'resumed epoch: 0, iter: 2' in log_of(runner)
    assert [path.name for path in (tmp_path / 'tiny').glob('*.pth')] == ['iter_4.pth']


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return []


@pytest.fixture
def work(trained: list[Path], tiny: Tiny, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of a training, with checkpoints of its iterations 2 and 4."""
    if not trained:
        cfg = tiny(val_dataloader=None, val_cfg=None, val_evaluator=None)
        cfg.default_hooks.checkpoint.save_best = None
        cfg.work_dir = str(tmp_path_factory.mktemp('trained') / 'tiny')
        runner = make(cfg)
        runner.train()
        assert 'Failed to import' not in log_of(runner)
        trained.append(Path(cfg.work_dir))
    shutil.copytree(trained[0], tmp_path / 'tiny')
    (tmp_path / 'tiny' / 'last_checkpoint').write_text(str(tmp_path / 'tiny' / 'iter_4.pth'))
    for seconds, name in enumerate(('iter_2.pth', 'iter_4.pth')):
        os.utime(tmp_path / 'tiny' / name, (seconds, seconds))
    return tmp_path / 'tiny'


def cut(work: Path) -> None:
    path = work / 'iter_4.pth'
    path.write_bytes(path.read_bytes()[:20000])


def flip(work: Path) -> None:
    path = work / 'iter_4.pth'
    content = bytearray(path.read_bytes())
    content[100] ^= 0x40  # in the pickle
    path.write_bytes(content)


def weights_only(work: Path) -> None:
    torch.save({'state_dict': {}, 'meta': {}}, work / 'iter_4.pth')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('damage', 'iteration', 'warning'),
    [
        (lambda work: None, 4, ''),
        (lambda work: (work / 'last_checkpoint').write_text(str(work / 'iter_2.pth')), 2, ''),
        (lambda work: (work / 'last_checkpoint').unlink(), 4, ''),
        (lambda work: (work / 'last_checkpoint').write_text(''), 4, 'last_checkpoint is empty'),
        (lambda work: (work / 'last_checkpoint').write_bytes(bytes(30)), 4, 'last_checkpoint is empty'),
        (lambda work: (work / 'last_checkpoint').write_bytes(b'\xff\xfe'), 4, 'last_checkpoint is empty or not text'),
        (lambda work: (work / 'last_checkpoint').write_text('moved/iter_4.pth'), 4, 'moved/iter_4.pth: no such file'),
        (lambda work: (work / 'iter_4.pth').unlink(), 2, 'iter_4.pth: no such file'),
        (lambda work: (work / 'iter_4.pth').write_bytes(b''), 2, 'iter_4.pth: damaged'),
        (cut, 2, 'iter_4.pth: damaged'),
        (flip, 2, 'iter_4.pth: damaged'),
        (weights_only, 2, 'iter_4.pth: damaged, or not a checkpoint of a training'),
    ],
)
def test_it_resumes_from_the_newest_that_reads(
    work: Path, tiny: Tiny, damage: Callable[[Path], object], iteration: int, warning: str
):
    damage(work)
    runner = make(tiny(resume=True))
    runner.call_hook('before_run')
    runner.load_or_resume()
    assert runner.iter == iteration
    [warned] = re.findall(r'WARNING - (.*) the training resumes from .*', log_of(runner)) or ['']
    assert warning in warned and bool(warning) == bool(warned)


@pytest.mark.slow
def test_nothing_in_a_config_that_a_checkpoint_holds_is_run(work: Path, tiny: Tiny):
    code = f'open({str(work / "harm")!r}, "w")'
    change(work / 'iter_4.pth', lambda content: content['meta'].update(config=f'x = {code}\ngpu_ids = [0, 1]\n'))
    make(tiny(max_iters=5, load_from=str(work / 'iter_4.pth'), resume=True)).train()
    assert not (work / 'harm').exists()


@pytest.mark.parametrize('keys', [('a',), ('a', 'b')], ids=len)
def test_only_its_own_checkpoints_are_known_to_a_hook(tmp_path: Path, keys: tuple[str, ...]):
    for path in ('work/best_own.pth', 'work/photo.pth', 'victim/best_photo'):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / 'work' / 'link').symlink_to(tmp_path / 'victim')
    hub = MessageHub.get_instance(f'hook_{random.SystemRandom().random()}')
    runner: Any = SimpleNamespace(work_dir=str(tmp_path / 'work'), message_hub=hub, logger=logging.getLogger(), rank=0)
    others = ['../victim', '../victim/best_photo', '.', '', '..', 'link/best_photo', 'best_\0', 'best_none', 'link/..']
    names = ['best_ckpt'] if len(keys) == 1 else ['best_ckpt_a', 'best_ckpt_b']

    def known(path: object) -> set[object]:
        hub.runtime_info.update(dict.fromkeys([*names, 'last_ckpt'], path))
        hook = CheckpointHook(save_best=list(keys), rule='greater')
        hook.before_train(runner)
        best = {hook.best_ckpt_path} if len(keys) == 1 else {*hook.best_ckpt_path_dict.values()}
        assert best == {hub.runtime_info.get(name) for name in names}
        return best | {hook.last_ckpt}

    for path in [*(f'{runner.work_dir}/{other}' for other in others), 3, None, [], 'best_own.pth']:
        assert known(path) == {None}
    assert known(f'{runner.work_dir}/photo.pth') == {None, f'{runner.work_dir}/photo.pth'}
    for path in (f'{runner.work_dir}/best_own.pth', f'{tmp_path}/victim/../{Path(runner.work_dir).name}/best_own.pth'):
        assert known(path) == {path}


@pytest.mark.slow
@pytest.mark.parametrize('victim', ['../victim', '../victim/best_photo'])
def test_a_checkpoint_removes_no_files_of_others(work: Path, tiny: Tiny, victim: str):
    other = work.parent / 'victim' / 'best_photo'
    other.parent.mkdir()
    other.touch()
    named = {'best_ckpt': f'{work}/{victim}', 'last_ckpt': f'{work}/{victim}', 'best_score': -1.0}
    change(work / 'iter_4.pth', lambda content: content['message_hub']['runtime_info'].update(named))
    hooks = {'checkpoint': {'published_keys': ['state_dict']}}
    make(tiny(max_iters=6, load_from=str(work / 'iter_4.pth'), resume=True, default_hooks=hooks)).train()
    assert [*other.parent.iterdir()] == [other]


@pytest.mark.slow
@pytest.mark.parametrize('elsewhere', [False, True])
def test_it_removes_its_own_best(work: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, elsewhere: bool):
    best = work / 'best_own.pth'
    best.touch()
    monkeypatch.chdir(work)
    named = {'best_ckpt': f'../tiny/{best.name}', 'best_score': -1.0}
    change(work / 'iter_4.pth', lambda content: content['message_hub']['runtime_info'].update(named))
    name = 'other' if elsewhere else 'tiny'
    make(tiny(name, max_iters=6, load_from=str(work / 'iter_4.pth'), resume=True)).train()
    assert best.exists() == elsewhere


def change(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = torch.load(path, weights_only=False)
    change(content)
    torch.save(content, path)


@pytest.mark.slow
def test_with_no_checkpoint_that_reads_it_stops_and_names_each(work: Path, tiny: Tiny):
    for name in ('iter_2.pth', 'iter_4.pth'):
        (work / name).write_bytes(b'PK')
    with pytest.raises(ResumeError) as caught:
        make(tiny(resume=True)).load_or_resume()
    first, *lines = str(caught.value).splitlines()
    assert first.startswith(
        f'{work}: no checkpoint to resume from; to start from scratch, remove {work}/last_checkpoint and'
    )
    assert [re.match(r'  \S*/(iter_\d\.pth): damaged', line)[1] for line in lines] == ['iter_4.pth', 'iter_2.pth']


@pytest.mark.slow
def test_checkpoints_elsewhere_are_found(work: Path, tiny: Tiny, tmp_path: Path):
    """By the hook's own folder and names."""
    (tmp_path / 'elsewhere' / 'tiny').mkdir(parents=True)
    (work / 'iter_2.pth').rename(tmp_path / 'elsewhere' / 'tiny' / 'step_2.pth')
    (work / 'last_checkpoint').write_text('')
    saving = {'out_dir': str(tmp_path / 'elsewhere'), 'filename_tmpl': 'step_{}.pth'}
    runner = make(tiny(resume=True, default_hooks={'checkpoint': saving}))
    runner.call_hook('before_run')
    runner.load_or_resume()
    assert runner.iter == 2


def test_files_are_written_whole(tmp_path: Path):
    """A write that fails leaves the old file; links and devices are written through."""
    backend = LocalBackend()
    path = tmp_path / 'file.txt'
    backend.put_text('old', path)
    with pytest.raises(UnicodeEncodeError):
        backend.put_text('new \ud800', path)
    with pytest.raises(TypeError):
        backend.put('no bytes', path)
    assert path.read_text() == 'old'
    (tmp_path / 'link').symlink_to(path)
    backend.put(b'new', tmp_path / 'link')
    backend.put(b'new', '/dev/null')
    Config({'a': 1}).dump(tmp_path / 'config.py')
    assert path.read_text() == 'new' and (tmp_path / 'link').is_symlink()
    assert Config.fromfile(tmp_path / 'config.py').a == 1
    assert sorted(found.name for found in tmp_path.iterdir()) == ['config.py', 'file.txt', 'link']


@pytest.mark.slow
def test_two_processes_go_on_in_the_middle_of_an_epoch(tiny: Tiny, tmp_path: Path):
    """Interrupted in the second of two epochs of three batches; two images from each process in a batch."""
    trainings = [('whole', 5), ('parts', 4), ('parts', 5)]
    for name, stop in trainings:
        cfg = tiny(name, stop, resume=True, val_dataloader=None, val_cfg=None, val_evaluator=None)
        cfg.default_hooks.checkpoint.save_best = None
        cfg.train_dataloader.batch_size = 1
        cfg.experiment_name = f'{name}_{stop}'
        cfg.dump(tmp_path / f'{name}_{stop}.py')
    lines = [f"main(['mmengine', 'train', '{name}_{stop}.py', '--launcher', 'pytorch'])" for name, stop in trainings]
    code = f'from asid_plugin.commands.main import main\nif {" or ".join(lines)}:\n    raise SystemExit(1)\n'
    ranks = together([tmp_path] * 2, '-c', code)
    assert [done.returncode for done in ranks] == [0, 0], ranks[0].stderr[-3000:]
    assert 'resumed epoch: 0, iter: 4' in ranks[0].stdout + ranks[0].stderr
    assert_same_end(tmp_path / 'whole' / 'iter_5.pth', tmp_path / 'parts' / 'iter_5.pth')


def test_processes_share_an_epoch_whatever_their_number():
    """From a place on, one process and two draw the same samples with the same seeds, and those left over."""

    def draws(world_size: int, begin: int) -> list[tuple[int, int]]:
        ranks = []
        for rank in range(world_size):
            sampler = DefaultSampler(range(12), seed=0)
            sampler.rank, sampler.world_size, sampler.num_samples = rank, world_size, 12 // world_size
            order = Order(sampler)
            order.begin, order.seed = begin // world_size, 5
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr('asid_plugin.mmengine.order.get_dist_info', lambda r=rank: (r, world_size))
                ranks.append([(int(draw), draw.seed) for draw in order])
        return [draw for step in zip(*ranks, strict=True) for draw in step]

    whole = draws(1, 0)
    assert sorted(index for index, _ in whole) == list(range(12))
    assert [seed for _, seed in whole] == [5 * 2**64 + place for place in range(12)]
    assert draws(2, 0) == draws(3, 0) == whole
    assert draws(2, 6) == draws(1, 6) == whole[6:]


def test_draws_keep_their_seed_through_wrappers(tiny: Tiny):
    cfg = {**tiny().train_dataloader.dataset, '_scope_': 'asid'}
    dataset = registry.DATASETS.build(cfg)
    [expected, other] = [dataset[Draw(2, seed)]['inputs'] for seed in (11, 12)]
    assert not torch.equal(expected, other)
    for wrapped, index in ((ConcatDataset([dataset, dataset]), 9), (RepeatDataset(dataset, 3), 16)):
        assert torch.equal(wrapped[Draw(index, 11)]['inputs'], expected)
    draw = pickle.loads(pickle.dumps(Draw(7, 2**70)))
    assert (draw, draw.seed, [*range(9)][draw]) == (7, 2**70, 7)


def test_seeds_leave_the_random_numbers_of_others_alone():
    def numbers() -> tuple[float, ...]:
        return random.random(), np.random.rand(), torch.rand(1).item()

    def seed_all() -> None:
        random.seed(1), np.random.seed(1), torch.manual_seed(1)

    seed_all()
    expected = numbers(), numbers()
    seed_all()
    found = [numbers()]
    drawn = []
    for seed in (2**80, 2**80, 3):
        with seeded(seed):
            drawn.append(numbers())
    assert drawn[0] == drawn[1] != drawn[2]
    assert (*found, numbers()) == expected


def test_all_bits_of_a_seed_count_for_every_random_number():
    """The seed of a training stands above the 64 bits that count its samples."""
    drawn = []
    for seed in (5, 2**32 + 5, 2**64 + 5, 2**65 + 5, 2**96 + 5):
        with seeded(seed):
            drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert [len(set(numbers)) for numbers in zip(*drawn, strict=True)] == [5, 5, 5]


@pytest.mark.parametrize(
    'saved',
    [
        None,
        3,
        [],
        {},
        {'iteration': 1, 'epoch': 0, 'samples': '2', 'total': 7},
        {'iteration': 1, 'epoch': True, 'samples': 2, 'total': 7},
        {'iteration': 1, 'epoch': 0, 'samples': -2, 'total': 7},
    ],
)
def test_a_place_that_cannot_be_is_none(saved: Any):
    assert Place.read(saved) is None
    assert Place.read(Place(1, 0, 2, 7).saved()) == Place(1, 0, 2, 7)


@pytest.mark.parametrize('saved', ['params', 'params_ema', 'authors', 'flat'])
def test_load_from_takes_files_of_basicsr_and_the_authors(tiny: Tiny, tmp_path: Path, saved: str):
    torch.manual_seed(8)
    weights = ASID(**NETWORK).state_dict()
    path = tmp_path / 'weights.pth'
    content = to_author_layout(weights) if saved == 'authors' else weights
    torch.save(content if saved in ('authors', 'flat') else {saved: content}, path)
    runner = make(tiny(load_from=str(path)))
    runner.call_hook('before_run')
    runner.load_or_resume()
    averaged = runner.hooks[[type(hook).__name__ for hook in runner.hooks].index('EMAHook')].ema_model.module
    for model in (runner.model, averaged):
        loaded = model.generator.state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in weights.items())


@pytest.mark.parametrize(
    ('change', 'lines'),
    [
        (
            {
                'train_dataloader': {'dataset': {'data_root': 'photos'}},
                'val_dataloader': {'dataset': {'data_root': 'held_out', 'data_prefix': {'lq': 'LR.lmdb'}}},
                'load_from': 'no.pth',
            },
            [
                r'load_from: no\.pth: no such file',
                r'train_dataloader: photos/LR: no such folder',
                r'train_dataloader: photos/GT: no such folder',
                r'val_dataloader: held_out/LR\.lmdb: not an LMDB of images',
                r'val_dataloader: held_out/GT: no such folder',
            ],
        ),
        ({'train_dataloader': {'batch_size': 8}}, [r'train_dataloader: 7 images for training, fewer than .* of 8 on']),
        (
            {'train_dataloader': {'dataset': {'pipeline': {'1': {'lq_size': 25}}}}, 'model': {'pretrained': 'no.pth'}},
            [
                r'model\.pretrained: no\.pth: no such file',
                r'train_dataloader: \S*/LR/0\.png: 24x24 pixels, less than a patch, lq_size 25',
            ],
        ),
        ({'load_from': 3}, [r'load_from: 3 is not a path']),
    ],
)
def test_all_that_is_missing_is_named_before_anything_is_written(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture, change: dict[str, Any], lines: list[str]
):
    tiny('never', **change).dump(tmp_path / 'missing.py')
    assert asid_train([tmp_path / 'missing.py']) == 2
    output = capfd.readouterr()
    found = output.err.splitlines()
    assert output.out == '' and len(found) == len(lines)
    for line, expected in zip(found, lines, strict=True):
        assert re.match(rf'(error: |  ){expected}', line)
    assert not (tmp_path / 'never').exists()


def test_the_scope_is_found_as_often_as_it_is_asked_for(capfd: pytest.CaptureFixture):
    """MMEngine takes a scope for the name of a package."""
    assert asid_plugin.mmengine
    from mmengine.registry import MODELS, DefaultScope

    with DefaultScope.overwrite_default_scope('asid'), MODELS.switch_scope_and_registry(None) as found:
        assert found is registry.MODELS
    assert 'Failed to import' not in ''.join(capfd.readouterr())

"""MMEngine's trainings as a GPU sees them: copies, looks that wait for it, overflows, optimizers, compiled networks."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from basicsr.utils.registry import LOSS_REGISTRY
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel, ImgDataPreprocessor
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from tiny_configs import CONFIG, make, tiny_config, write_data
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import asid_plugin.mmengine  # repairs MMEngine
from asid_plugin.mmengine import registry
from asid_plugin.mmengine.checks import check_config
from asid_plugin.mmengine.dataset import DatasetError
from asid_plugin.models.divergence import DivergedError
from dispatch_counts import Counts, counted
from helpers import TINY, command

asid_train, asid_test = command('mmengine', 'train'), command('mmengine', 'test')
CUDA = torch.device('cuda:0')
Tiny = Callable[..., Config]


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'), num_val=2)


@pytest.fixture
def tiny(data: Path, tmp_path: Path) -> Tiny:
    """A config of 7 pairs in batches of 2, without validation, of which nothing is logged or saved before the end."""

    def build(name: str = 'tiny', max_iters: int = 6, validate: bool = False, **more: Any) -> Config:
        changes = {
            'train_cfg': {'max_iters': max_iters, 'val_interval': 2},
            'default_hooks': {'logger': {'interval': 100}, 'checkpoint': {'interval': 100, 'save_best': None}},
            'visualizer': {'vis_backends': [{'type': 'LocalVisBackend'}]},
        }
        none = {} if validate else dict.fromkeys(('val_dataloader', 'val_cfg', 'val_evaluator'))
        return tiny_config(data, tmp_path / name, changes, none, more)

    return build


def preprocessor() -> Any:
    return registry.MODELS.build({'type': 'SRDataPreprocessor', '_scope_': 'asid'})


def batch(num: int = 16, side: int = 8, dtype: torch.dtype = torch.uint8) -> dict[str, Any]:
    """Images as a data loader gives them; the sides of one after another grow, unless `num` is 16."""
    random_numbers = torch.Generator().manual_seed(5)
    images, samples = [], []
    for i in range(num):
        height = side if num == 16 else side + i
        lq = torch.randint(0, 256, (3, height, side), generator=random_numbers, dtype=torch.uint8)
        gt = torch.randint(0, 256, (3, 2 * height, 2 * side), generator=random_numbers, dtype=torch.uint8)
        samples.append(BaseDataElement(metainfo={'lq_path': f'{i}.png'}, gt=gt.to(dtype)))
        images.append(lq.to(dtype))
    return {'inputs': images, 'data_samples': samples}


class MemoryKinds(TorchDispatchMode):
    """Notes whether tensors are made in page-locked memory, and the devices and waits of copies."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[bool] = []
        self.copied: list[tuple[str, str, bool]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.empty.memory_format:
            self.made.append(bool(kwargs.get('pin_memory')))
        if func is torch.ops.aten._to_copy.default and result.device != args[0].device:
            self.copied.append((args[0].device.type, result.device.type, bool(kwargs.get('non_blocking'))))
        return result


def test_a_batch_goes_to_the_device_in_two_copies():
    """Of 178 operators and 32 copies that were waited for, 8 and none are left."""
    prepare = preprocessor().to('meta')
    counts = counted(prepare, batch(), training=True)
    assert (counts.launches, counts.copies_between_devices, counts.blocking_copies) == (8, 2, 0)
    assert counts.synchronisations == 0
    theirs = ImgDataPreprocessor([0.0], [255.0], bgr_to_rgb=True).to('meta')
    before = [counted(theirs, {'inputs': images}) for images in (batch()['inputs'], batch(side=16)['inputs'])]
    assert sum(counts.blocking_copies for counts in before) == 32
    assert sum(counts.launches for counts in before) == 178


def test_the_bytes_of_a_batch_are_page_locked():
    with FakeTensorMode(allow_non_fake_inputs=True), MemoryKinds() as seen:
        prepare = preprocessor()
        prepare._device, prepare.std = CUDA, torch.full((1, 1, 1), 255.0, device=CUDA)
        prepared = prepare(batch(), training=True)
    assert prepared['inputs'].device == prepared['data_samples'][3].gt.device == CUDA
    assert seen.made.count(True) == 2
    assert seen.copied == [('cpu', 'cuda', True)] * 2


@pytest.mark.gpu
def test_a_batch_on_a_gpu_is_that_on_a_cpu():
    here, there = (preprocessor().to(device)(batch(), training=True) for device in ('cpu', 'cuda'))
    assert torch.equal(there['inputs'].cpu(), here['inputs'])
    for one, other in zip(here['data_samples'], there['data_samples'], strict=True):
        assert torch.equal(other.gt.cpu(), one.gt)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32, torch.float64, torch.int32], ids=str)
@pytest.mark.parametrize('num', [16, 1, 3])
def test_a_batch_is_mmengines_bit_for_bit(num: int, dtype: torch.dtype):
    """Of one size, one image, and several sizes."""
    given, prepared = batch(num, dtype=dtype), preprocessor()(batch(num, dtype=dtype), training=True)
    theirs = ImgDataPreprocessor([0.0], [255.0], bgr_to_rgb=True)
    assert torch.equal(prepared['inputs'], theirs({'inputs': given['inputs']})['inputs'])
    gts = theirs({'inputs': [sample.gt for sample in given['data_samples']]})['inputs']
    assert torch.equal(torch.stack([sample.gt for sample in prepared['data_samples']]), gts)
    assert prepared['inputs'].dtype == torch.float32 and prepared['inputs'].is_contiguous()
    assert [sample.lq_path for sample in prepared['data_samples']] == [f'{i}.png' for i in range(num)]


def test_a_batch_may_come_stacked_and_of_mixed_types():
    given = batch()['inputs']
    expected = preprocessor()({'inputs': given})
    assert torch.equal(preprocessor()({'inputs': torch.stack(given)})['inputs'], expected['inputs'])
    mixed = [image.float() if i % 2 else image for i, image in enumerate(given)]
    assert torch.equal(preprocessor()({'inputs': mixed})['inputs'], expected['inputs'])
    assert expected['data_samples'] is None
    with pytest.raises(ValueError, match=r'images should be \(3, H, W\), got \(1, 8, 8\)'):
        preprocessor()({'inputs': [image[:1] for image in given]})


def test_the_batch_of_the_data_loader_stays_as_it_was():
    given = batch()
    preprocessor()(given, training=True)
    assert {sample.gt.dtype for sample in given['data_samples']} == {torch.uint8}


class Repeat(nn.Module):
    """A network that repeats each pixel."""

    upscale = 2

    def forward(self, lq: Tensor) -> Tensor:
        return lq.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_an_image_leaves_the_device_in_one_copy():
    """And its ground truth, with which it is compared on the CPU, never goes there."""
    with FakeTensorMode(allow_non_fake_inputs=True), MemoryKinds() as seen:
        model = registry.MODELS.build(
            {'type': 'SuperResolver', 'generator': TINY, 'pixel_loss': {'type': 'L1Loss'}, '_scope_': 'asid'}
            | {'borders': 'zeros'}
        )
        model.generator, prepare = Repeat(), model.data_preprocessor
        prepare._device, prepare.std = CUDA, torch.full((1, 1, 1), 255.0, device=CUDA)
        [sample] = model.val_step(batch(1))
        assert sample.sr.device.type == sample.gt.device.type == 'cpu'
    assert seen.copied == [('cpu', 'cuda', True), ('cuda', 'cpu', False)]


@registry.HOOKS.register_module()
class Watching(Hook):
    """Counts the reads of numbers from the start of each iteration on."""

    priority = 'HIGHEST'

    def __init__(self) -> None:
        self.reads: list[Counts] = []

    def before_train_iter(self, *_: Any, **__: Any) -> None:
        self.reads.append(Counts())
        self.reads[-1].__enter__()


@registry.HOOKS.register_module()
class WatchingEnd(Hook):
    """Ends what `Watching` begins, after all other hooks."""

    priority = 'LOWEST'

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        next(hook for hook in runner.hooks if isinstance(hook, Watching)).reads[-1].__exit__(None, None, None)


def waits(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[tuple[int, int]]]:
    """Train; of each iteration, the numbers read that torch sees, and of all losses sent (read in, those of)."""
    read, looked = asid_plugin.models.sent_losses.SentLosses.read, []

    def reading(sent: Any) -> Any:
        looked.append((runner.iter + 1, sent.iteration))
        return read(sent)

    monkeypatch.setattr('asid_plugin.models.sent_losses.SentLosses.read', reading)
    runner.train()
    watching = next(hook for hook in runner.hooks if isinstance(hook, Watching))
    return [reads.synchronisations for reads in watching.reads], looked


def watched(cfg: Config) -> Runner:
    cfg.custom_hooks = [{'type': 'Watching'}, {'type': 'WatchingEnd'}]
    return make(cfg)


@pytest.mark.slow
def test_no_iteration_waits_for_its_own_loss(tiny: Tiny, monkeypatch: pytest.MonkeyPatch):
    """Before, the loss was read by its two names in its iteration, and each of 68 step counts twice."""
    found, looked = waits(watched(tiny(max_iters=7, default_hooks={'logger': {'interval': 5}})), monkeypatch)
    assert found[:6] == [0] * 6  # the seventh is saved, for which its weights are looked at
    # 3 batches make an epoch, after which the log is written for once, as after the fifth and the last
    assert looked == [(2, 1), (3, 2), (3, 3), (5, 4), (5, 5), (7, 6), (7, 7)]
    theirs = {'default_hooks': {'runtime_info': {'type': 'RuntimeInfoHook'}}}
    cfg = tiny('theirs', max_iters=2, **theirs)
    cfg.optim_wrapper.optimizer.fused = False
    found, looked = waits(watched(cfg), monkeypatch)
    assert (found[0], looked) == (2 + 2 * 68, [])


@pytest.mark.slow
def test_the_log_is_mmengines(tiny: Tiny, tmp_path: Path):
    """Each loss at its iteration, also in checkpoints."""
    logs, saved = [], []
    for hook in ('SRRuntimeInfoHook', 'RuntimeInfoHook'):
        hooks = {'runtime_info': {'type': hook}, 'logger': {'interval': 2}, 'checkpoint': {'interval': 3}}
        make(tiny(hook, 5, validate=True, default_hooks=hooks)).train()
        [path] = (tmp_path / hook).glob('*/vis_data/scalars.json')
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        logs.append([[line.get(key) for key in ('step', 'loss', 'loss_pix', 'lr', 'val/PSNR')] for line in lines])
        hub = torch.load(tmp_path / hook / 'iter_3.pth', weights_only=False)['message_hub']
        saved.append(hub['log_scalars']['train/loss'].data[0].tolist())
    assert logs[0] == logs[1] and [line[0] for line in logs[0]] == [2, 2, 4, 4, 5]
    assert saved[0] == saved[1] and len(saved[0]) == 3


class OverflowingLoss(nn.Module):
    """An L1 loss to which a number is added in some of its calls; the gradients stay finite."""

    def __init__(self, first: int, last: int, added: str) -> None:
        super().__init__()
        self.calls, self.first, self.last, self.added = 0, first, last, float(added)

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        self.calls += 1
        return (sr - gt).abs().mean() + (self.added if self.first <= self.calls <= self.last else 0.0)


@pytest.fixture(scope='module', autouse=True)
def overflowing_loss() -> Iterator[None]:
    """Register the loss for these tests only: others compare the registry with what is documented."""
    LOSS_REGISTRY.register(OverflowingLoss)
    yield
    del LOSS_REGISTRY._obj_map['OverflowingLoss']


def overflowing(first: int, last: int, added: str = 'inf') -> dict[str, Any]:
    loss = {'_delete_': True, 'type': 'OverflowingLoss', 'first': first, 'last': last, 'added': added}
    return {'model': {'pixel_loss': loss}}


@pytest.mark.slow
@pytest.mark.parametrize('added', ['nan', 'inf'])
@pytest.mark.parametrize(('interval', 'calls'), [(1, 2), (100, 3)], ids=['saved at once', 'looked at later'])
def test_a_diverged_training_ends_at_the_right_iteration(
    tiny: Tiny, tmp_path: Path, added: str, interval: int, calls: int
):
    cfg = tiny(default_hooks={'checkpoint': {'interval': interval}}, **overflowing(2, 2, added))
    runner = make(cfg)
    with pytest.raises(DivergedError) as caught:
        runner.train()
    work = tmp_path / 'tiny'
    assert str(caught.value) == (
        f'iteration 2: loss is {added}; training stops; the checkpoints in {work} are unchanged'
    )
    assert runner.model.pixel_loss.calls == calls
    assert [path.name for path in work.glob('*.pth')] == (['iter_1.pth'] if interval == 1 else [])


@pytest.mark.slow
def test_a_diverged_training_is_neither_validated_nor_saved(tiny: Tiny, tmp_path: Path):
    """After the last iteration, a loss is looked at before the images are; weights, before they are saved."""
    runner = make(tiny(max_iters=2, validate=True, **overflowing(2, 2)))
    with pytest.raises(DivergedError, match='iteration 2: loss is inf'):
        runner.train()
    runner = make(tiny('weights', max_iters=2))
    with torch.no_grad():
        runner.model.generator.conv_up.bias.fill_(torch.nan)
    hook = runner.hooks[[type(hook).__name__ for hook in runner.hooks].index('SRRuntimeInfoHook')]
    hook.before_run(runner)
    checkpoint = {'meta': {'iter': 1}, 'state_dict': runner.model.state_dict()}
    with pytest.raises(DivergedError, match=r'iteration 1: weights generator\.conv_up\.bias are not finite; training'):
        hook.before_save_checkpoint(runner, checkpoint)
    assert not [*tmp_path.glob('*/*.pth')]


def test_the_command_says_in_one_line_that_a_training_diverged(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    cfg = tiny(max_iters=2, **overflowing(1, 1, 'nan'))
    cfg.dump(tmp_path / 'diverges.py')
    assert asid_train([tmp_path / 'diverges.py']) != 0
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith('error: ')]
    assert len(said) == 1 and said[0].startswith('error: iteration 1: loss is nan; training stops')


def scaled(cfg: Config) -> Runner:
    """A training with a gradient scaler, as `--amp` has on a GPU; the CPU's autocast is bfloat16's."""
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    runner = make(cfg)
    build = runner.build_optim_wrapper

    def with_scaler(given: Any) -> OptimWrapper:
        wrapper = build(given)
        wrapper.loss_scaler = torch.amp.GradScaler('cpu')
        return wrapper

    runner.build_optim_wrapper = with_scaler
    return runner


@pytest.mark.slow
def test_an_overflow_with_a_gradient_scaler_is_skipped(tiny: Tiny, tmp_path: Path):
    """The step of the iteration is left out, although the gradients of such a loss are finite."""
    saving = {'checkpoint': {'interval': 1, 'max_keep_ckpts': 4}}
    runner = scaled(tiny(max_iters=4, default_hooks=saving, **overflowing(2, 3)))
    runner.train()
    weights = [torch.load(tmp_path / 'tiny' / f'iter_{i}.pth', weights_only=False) for i in (1, 2, 3, 4)]
    name = 'generator.conv_up.weight'
    first, second, third, fourth = (each['state_dict'][name] for each in weights)
    assert torch.equal(first, second) and torch.equal(second, third) and not torch.equal(third, fourth)
    assert weights[3]['optimizer']['loss_scaler']['scale'] == 2.0**14
    log = Path(runner.log_dir, f'{runner.timestamp}.log').read_text()
    assert [f'iteration {i}: loss is nan in half precision; the step was skipped' in log for i in (1, 2, 3, 4)] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.slow
def test_overflows_without_end_end_a_training(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr('asid_plugin.models.divergence.MOST_OVERFLOWS', 3)
    with pytest.raises(DivergedError, match='iteration 4: loss is nan after 2 such iterations; training stops'):
        scaled(tiny(max_iters=9, **overflowing(2, 9))).train()
    runner = scaled(tiny('weights', max_iters=9, **overflowing(2, 9)))
    with torch.no_grad():
        runner.model.generator.conv_up.bias.fill_(torch.nan)
    with pytest.raises(DivergedError, match=r'iteration 1: weights generator\.conv_up\.bias are not finite'):
        runner.train()
    assert not [*tmp_path.glob('*/*.pth')]


def optimizer_state(device: torch.device, fused: bool) -> dict[str, Any]:
    """That of one weight on a device, with everything there."""
    weight = nn.Parameter(torch.zeros(2, device=device))
    state = torch.optim.AdamW([weight], fused=fused).state_dict()
    state['state'][0] = {name: torch.zeros(2, device=device) for name in ('exp_avg', 'exp_avg_sq')}
    state['state'][0]['step'] = torch.tensor(3.0, device=device)
    return state


@pytest.mark.parametrize('wrapper', [OptimWrapper, AmpOptimWrapper])
@pytest.mark.parametrize('saved', [True, False])
@pytest.mark.parametrize('fused', [True, False])
def test_step_counts_are_where_torch_has_them(wrapper: type[OptimWrapper], saved: bool, fused: bool):
    with FakeTensorMode(allow_non_fake_inputs=True):
        weight = nn.Parameter(torch.zeros(2, device=CUDA))
        wrapped = wrapper(optimizer=torch.optim.AdamW([weight], fused=fused))
        wrapped.load_state_dict(optimizer_state(CUDA, saved))
        state = wrapped.optimizer.state[weight]
    assert state['step'].device.type == ('cuda' if fused else 'cpu')
    assert state['exp_avg'].device.type == 'cuda'
    assert wrapped.optimizer.param_groups[0]['fused'] == fused


@pytest.mark.slow
def test_an_old_checkpoint_resumes_fused(tiny: Tiny):
    """Of a training without `fused`; before, a gradient scaler made it fail."""
    cfg = tiny(max_iters=2)
    cfg.optim_wrapper.optimizer.fused = False
    scaled(cfg).train()
    runner = scaled(tiny(max_iters=3, resume=True))
    runner.train()
    assert [group['fused'] for group in runner.optim_wrapper.optimizer.param_groups] == [True]
    assert {state['step'].item() for state in runner.optim_wrapper.optimizer.state.values()} == {3.0}


@pytest.mark.slow
def test_a_network_is_compiled_once(tiny: Tiny, data: Path):
    """Whatever the names of the images are, and of whatever size those of a validation, which are not compiled."""
    counters.clear()
    runner = make(tiny(max_iters=3, validate=True, compile={'backend': 'eager'}))
    runner.train()
    assert counters['stats']['unique_graphs'] == 1
    assert len({cv2.imread(str(image)).shape for image in (data / 'val' / 'LR').iterdir()}) == 2
    assert 'val/val/PSNR' in runner.message_hub.log_scalars


@registry.MODELS.register_module()
class Gan(BaseModel):
    """A model of somebody else, with a generator and a `train_step` that uses more than this."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.discriminator = nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, inputs: Tensor, *_: Any, **__: Any) -> dict[str, Tensor]:
        return {'loss': self.discriminator(self.generator(inputs)).sum()}


@pytest.mark.parametrize(('model', 'ours'), [({'type': 'Gan', '_delete_': True}, False), ({}, True)], ids=str)
def test_other_models_are_compiled_as_mmengine_does(tiny: Tiny, tmp_path: Path, model: dict[str, Any], ours: bool):
    runner = make(tiny(model=model, compile={'backend': 'eager'}))
    runner._maybe_compile('train_step')
    assert (runner.model.generator._compiled_call_impl is not None) == ours
    assert ('train_step' in vars(runner.model)) != ours
    [log] = (tmp_path / 'tiny').glob('*/*.log')
    said = ('Model has been "compiled"', 'model.generator is compiled for training')
    assert [line in log.read_text() for line in said] == [not ours, ours]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('compile_cfg', 'counts', 'said'),
    [
        (
            {'mode': 'reduce-overhead'},
            2,
            'mode: reduce-overhead does not work with optim_wrapper:accumulative_counts, 2: a CUDA graph overwrites '
            'the gradients of the previous part; use accumulative_counts: 1, or mode: max-autotune-no-cudagraphs',
        ),
        ({'mode': 'reduce-overhead'}, 1, None),
        ({'mode': 'default'}, 2, None),
        (True, 2, None),
        ({'mode': 'fast'}, 1, 'torch.compile: '),
        ('inductor', 1, "'inductor' should be true, false, or a dict of the arguments of torch.compile"),
    ],
)
def test_compiling_that_does_not_go_is_refused(tiny: Tiny, compile_cfg: Any, counts: int, said: str | None):
    cfg = tiny(compile=compile_cfg, optim_wrapper={'accumulative_counts': counts})
    if said is None:
        check_config(cfg, 'train_dataloader')
        return
    with pytest.raises(DatasetError, match=f'^compile: {re.escape(said)}'):
        check_config(cfg, 'train_dataloader')


@registry.HOOKS.register_module()
class Precisions(Hook):
    """Notes whether TF32 is allowed in training and in validation."""

    seen: list[tuple[str, bool]] = []  # noqa: RUF012  # of all that are made

    def after_train_iter(self, *_: Any, **__: Any) -> None:
        self.seen.append(('train', torch.backends.cudnn.allow_tf32))

    def after_val_iter(self, *_: Any, **__: Any) -> None:
        self.seen.append(('val', torch.backends.cudnn.allow_tf32))


@pytest.mark.slow
@pytest.mark.parametrize('tf32', [True, False])
def test_tf32_is_for_training_if_asked_for(tiny: Tiny, tf32: bool):
    Precisions.seen.clear()
    make(tiny(max_iters=3, validate=True, train_cfg={'tf32': tf32}, custom_hooks=[{'type': 'Precisions'}])).train()
    val = [('val', False)] * 2
    assert Precisions.seen == [*[('train', tf32)] * 2, *val, ('train', tf32), *val]


def test_missing_benchmarks_come_with_a_hint(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert asid_test([CONFIG, 'packaged:x2']) == 2
    said = capfd.readouterr().err
    hint = 'docs/data.md (Benchmarks) names its source; to skip this set, remove it from the config'
    assert f'test_dataloader: datasets/Urban100/LRbicx2: no such folder; {hint}\n' in said
    tiny(train_dataloader={'dataset': {'data_root': 'photos'}}).dump('a.py')
    assert asid_train(['a.py']) == 2
    assert (
        'photos/LR: no such folder; asid prepare div2k or asid prepare photos makes training data'
        in capfd.readouterr().err
    )


def test_two_sets_of_one_name_are_refused(tiny: Tiny, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """They would share a folder of images and one figure."""
    cfg = tiny(validate=True)
    val = cfg.val_dataloader.dataset
    cfg.test_dataloader.dataset.datasets = [val, {**val, 'data_root': str(data / 'train')}, {**val, 'name': 'b'}]
    cfg.dump(tmp_path / 'two.py')
    assert asid_test([tmp_path / 'two.py', 'packaged:x2']) == 2
    [line] = capfd.readouterr().err.splitlines()
    right = "2 data sets have the name 'val', which also names their figures and images; rename them"
    assert line == f'error: test_dataloader: {right}'

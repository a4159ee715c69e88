"""Option files that are damaged, mistyped or hostile: through `asid train`, `asid test` and `asid evaluate`.

Hypothesis draws them: options of a tiny training, of which some values are replaced, deleted, moved or added, or
whose text is cut and spliced, and entries of `--force_yml`. Those that pass the checks train for two iterations, with
validations, and are saved.
"""

import datetime
import functools
import itertools
import shutil
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import hypothesis
import torch
import yaml
from hypothesis import strategies as st
from tqdm import tqdm

import asid_plugin  # noqa: F401  # before BasicSR
from helpers import TINY, write_pairs

# isort: split
from basicsr import test, train
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY

from asid_plugin.commands.main import main
from asid_plugin.evaluate import methods  # noqa: F401  # before the trials are forked
from asid_plugin.evaluate import run as _run  # noqa: F401
from asid_plugin.options import command_line  # noqa: F401
from asid_plugin.options.asid_keys import ASID_SECTIONS
from asid_plugin.options.basicsr_keys import BASICSR_SECTIONS
from asid_plugin.options.checks import uses_plugin
from asid_plugin.options.declaration import Option
from asid_plugin.plain_yaml import YAMLError, load

from .figures import Row
from .trials import Outcome, attempt

SHORT = {'train': 8, 'test': 4, 'evaluate': 4}
LONG = {'train': 6000, 'test': 2000, 'evaluate': 2000}
"""Trials of each way."""

KEYS = sorted({key for section in (*BASICSR_SECTIONS, *ASID_SECTIONS) for key in section.declared()})
SECTIONS = {
    place: {
        k: v
        for section in (*BASICSR_SECTIONS, *ASID_SECTIONS)
        if section.place == place
        for k, v in section.declared().items()
    }
    for place in ('', 'path', 'train', 'val', 'logger')
}
REGISTRIES = (ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY)
NAMES = sorted({name.removesuffix('_basicsr') for registry in REGISTRIES for name, _ in registry})
NUMBERS = (0, -1, 1, 2, 3, 7, 2.5, 1e-9, 1e308, -1e308, float('inf'), float('nan'), 10**6, 2**31, 2**63, 10**400)
TEXTS = (
    '', ' ', '~', 'a', '0', '1e-3', '-', 'true', '{}', '{}{}', '{0}', '{', 'é', '\u202e', '\x1b[31m', 'a\nb', 'a\0b',
    'x' * 300, '.', '..', '../..', '/', '/dev/zero', 'a/b', 'packaged:x2', 'packaged:x4', 'auto', 'y', 'cpu', 'cuda',
    'lmdb', 'disk', 'bf16', 'fp16', 'sum', 'none', 'Adam', 'SGD', 'Muon', 'Rprop', 'MultiStepLR', 'LBFGS',
    'CosineAnnealingRestartLR', *NAMES,
)  # fmt: skip
OTHERS = (None, True, False, [], {}, datetime.date(2026, 1, 1), b'\xff', {'a'}, (1, 2))
LINES = (
    'evil: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [harm]]',
    'evil: !!python/object/new:pathlib.Path [harm]',
    'evil: !!python/name:os.system',
    'evil: !!python/module:antigravity',
    'plugin: !!python/name:asid_plugin.__version__',
    'a: &a [x, x, x, x, x, x, x, x, x]\n'
    + '\n'.join(f'{b}: &{b} [{", ".join([f"*{a}"] * 9)}]' for a, b in zip('abcdefgh', 'bcdefghi', strict=True)),
    'a: &a [*a]',
    'true: 1',
    '1: 2',
    '? [a]\n: 1',
    'a: ' + '[' * 5000,
    'a: "\\0"',
    'a: !!int x',
    'manual_seed: 0x' + 'f' * 5000,
    '<<: {name: b}',
    '---',
    '\0',
    '\t',
)
"""For the text of a file."""
LITERALS = (
    '1', '-1', '1e-3', '!!float 1e-3', '!!float x', '[1, 2', '[a]', '[]', '[1]', "__import__('os').mkdir('harm')",
    "[__import__('os').mkdir('harm')]", '~', 'none', 'true', '', 'a=b', '²', '9' * 5000, '1.2.3', '{}', 'a b', '/',
    '.inf', '!!python/name:os.system', '[' * 300, 'ASID', 'packaged:x2',
)  # fmt: skip
"""For `--force_yml`."""


class Options:
    """The options that the trials start from, and the data that they name."""

    def __init__(self, folder: Path) -> None:
        disk = {'type': 'PairedImageDataset', 'io_backend': {'type': 'disk'}}
        paths = [{**disk, **write_pairs(folder / name, num)} for name, num in (('training', 4), ('Set2', 2))]
        (folder / 'Set2/GT').rename(folder / 'Set2/GTmod2')
        (folder / 'Set2/LR').rename(folder / 'Set2/LRbicx2')
        paths[1] |= {'dataroot_gt': str(folder / 'Set2/GTmod2'), 'dataroot_lq': str(folder / 'Set2/LRbicx2')}
        self.set = folder / 'Set2'
        metric = {'crop_border': 2, 'test_y_channel': True, 'better': 'higher'}
        general = {
            'name': 'tiny', 'model_type': 'ASIDModel', 'scale': 2, 'num_gpu': 'auto', 'manual_seed': 0,
            'network_g': {**TINY, 'window_size': 8, 'num_in_ch': 3, 'sharing': 'inter', 'distillation': True},
        }  # fmt: skip
        val = {
            'save_img': True, 'suffix': None, 'tile': 16, 'tile_overlap': 8, 'tile_batch': 2, 'borders': 'flush',
            'self_ensemble': False, 'amp': None, 'pbar': False,
            'metrics': {'psnr': {'type': 'calculate_psnr', **metric}, 'ssim': {'type': 'calculate_ssim', **metric}},
        }  # fmt: skip
        start = {'pretrain_network_g': None, 'strict_load_g': True, 'param_key_g': 'params', 'resume_state': None}
        training = {
            **paths[0], 'name': 'train', 'gt_size': 32, 'use_hflip': True, 'use_rot': True, 'num_worker_per_gpu': 0,
            'batch_size_per_gpu': 4, 'dataset_enlarge_ratio': 2, 'prefetch_mode': None, 'pin_memory': False,
            'mean': [0.0, 0.0, 0.0], 'std': [1.0, 1.0, 1.0], 'filename_tmpl': '{}', 'meta_info_file': None,
        }  # fmt: skip
        loss = {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}
        self.train = {
            **deepcopy(general),
            'datasets': {'train': training, 'val_1': {**paths[1], 'name': 'Set2'}},
            'path': deepcopy(start),
            'train': {
                'ema_decay': 0.9, 'amp': None, 'accumulate': 2, 'grad_clip': 1.0, 'total_iter': 6, 'warmup_iter': -1,
                'optim_g': {'type': 'AdamW', 'lr': 1e-3, 'weight_decay': 0, 'betas': [0.9, 0.99]},
                'scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [6], 'eta_min': 1e-5},
                'pixel_opt': loss, 'fft_opt': {'type': 'FFTLoss', 'loss_weight': 0.1},
            },
            'val': {'val_freq': 3, **deepcopy(val)},
            'logger': {'print_freq': 1, 'save_checkpoint_freq': 3, 'use_tb_logger': False, 'safetensors': True,
                       'wandb': {'project': None}},
            'dist_params': {'backend': 'nccl', 'port': 29500},
        }  # fmt: skip
        self.test = {
            **deepcopy(general),
            'datasets': {'test_1': {**paths[1], 'name': 'Set2'}},
            'path': {**start, 'pretrain_network_g': str(folder / 'tiny.pth')},
            'val': val,
        }
        net = ARCH_REGISTRY.get('ASID')(**{key: value for key, value in general['network_g'].items() if key != 'type'})
        torch.save({'params': net.state_dict()}, folder / 'tiny.pth')


def values() -> st.SearchStrategy[Any]:
    """Values that an option may be given."""
    plain = (
        st.sampled_from([*NUMBERS, *TEXTS, *OTHERS])
        | st.integers(-3, 300)
        | st.floats()
        | st.text('abé{}/. ', max_size=8)
    )
    keys = st.sampled_from([*KEYS, True, 1, None, 2.5, 'a'])
    return plain | st.lists(plain, max_size=3) | st.dictionaries(keys, plain, max_size=2)


def like(value: Any) -> st.SearchStrategy[Any]:
    """Values of the kind of another, so that many options still train."""
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int | float):
        return st.sampled_from(
            [0, 1, 2, 3, 4, 6, 8, 10, 16, 20, 24, 32, 48, 64, 0.5, value * 2, value * 10, value / 10]
        )
    if isinstance(value, str) and value in NAMES:
        return st.sampled_from(NAMES)
    if isinstance(value, list) and value:
        return st.lists(st.one_of(*map(like, value)), max_size=len(value) + 1)
    return values()


def allowed(option: Option) -> st.SearchStrategy[Any]:
    """Values like those that are declared of an option."""
    choices = [
        choice
        for schema in option.kind.schema.get('anyOf', [option.kind.schema])
        for choice in [*schema.get('enum', []), *([True, False] if schema.get('type') == 'boolean' else [])]
    ]
    return st.sampled_from(choices) if choices else like(1 if option.default is None else option.default)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """All (container, key or index) in options."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


@st.composite
def changed(draw: st.DrawFn, options: dict[str, Any]) -> dict[str, Any]:
    """Options of which some values are others."""
    options = deepcopy(options)
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        leaves = [place for place in places(options) if not isinstance(place[0][place[1]], dict | list)]
        container, key = draw(st.sampled_from(leaves if draw(st.booleans()) else list(places(options))))
        change = draw(st.sampled_from(['replace'] * 6 + ['delete', 'add', 'move']))
        if change == 'replace':
            container[key] = draw(values() if draw(st.integers(0, 3)) == 3 else like(container[key]))
        elif change == 'delete':
            del container[key]
        elif change == 'move':
            other, place = draw(st.sampled_from(list(places(options))))
            container[key] = deepcopy(other[place])
        elif isinstance(container, dict):
            container[draw(st.sampled_from([*KEYS, 'colour', True, 1, 'a b', '']))] = draw(values())
        if draw(st.integers(0, 3)) == 3:
            place = draw(st.sampled_from([place for place in SECTIONS if isinstance(options.get(place, {}), dict)]))
            name = draw(st.sampled_from(sorted(SECTIONS[place])))
            (options.setdefault(place, {}) if place else options)[name] = draw(allowed(SECTIONS[place][name]))
    return options


@st.composite
def texts(draw: st.DrawFn, options: dict[str, Any]) -> bytes:
    """The text of an option file, of some of which pieces are cut out, moved or put in."""
    text = yaml.dump(draw(changed(options)), Dumper=yaml.CDumper, sort_keys=False, allow_unicode=draw(st.booleans()))
    for _ in range(draw(st.sampled_from([0] * 7 + [1, 2]))):
        lines = text.splitlines()
        at = draw(st.integers(0, len(lines)))
        piece = draw(st.sampled_from([*LINES, *lines, None]))
        lines[at : at + 1] = [] if piece is None else [piece]
        text = '\n'.join(lines)
    content = text.encode()
    if draw(st.integers(0, 19)) == 19:
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.binary(max_size=3)) + content[at + draw(st.integers(0, 3)) :]
    return content


@st.composite
def entries(draw: st.DrawFn, options: dict[str, Any]) -> list[str]:
    """Entries of `--force_yml`; mostly none."""
    if draw(st.integers(0, 7)) < 7:
        return []
    known = [':'.join(map(str, key)) for key in keys(options)]
    key = st.sampled_from([*known, *KEYS, 'trian:total_iter', '', ':', 'a"]=1#', 'name:a', 'train:optim_g:betas:0'])
    return [f'{draw(key)}={draw(st.sampled_from(LITERALS))}' for _ in range(draw(st.integers(1, 2)))]


def keys(options: dict[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys of all values in sections."""
    for key, value in options.items():
        yield (*place, key)
        if isinstance(value, dict):
            yield from keys(value, (*place, key))


def run(folder: Path, seed: int, long: bool) -> Iterator[Row]:
    """Run the trials of each way."""
    torch.set_num_threads(1)
    options = Options(folder)
    ways: dict[str, tuple[dict[str, Any], Callable[[list[str]], object]]] = {
        'train': (options.train, functools.partial(start, train, 'train_pipeline')),
        'test': (options.test, functools.partial(start, test, 'test_pipeline')),
        'evaluate': (options.test, functools.partial(evaluate, options.set)),
    }
    for name, (base, function) in ways.items():
        row = Row(f'options: {name}')
        number = (LONG if long else SHORT)[name]
        with tqdm(total=number, desc=row.way, file=sys.stderr) as bar:
            for trial in drawn(st.tuples(texts(base), entries(base)), seed, number):
                attack(row, folder / 'trial', *trial, function)
                bar.update()
        yield row


def drawn(strategy: st.SearchStrategy[Any], seed: int, number: int) -> Iterator[Any]:
    """So many examples, all different, the same for the same seed."""
    seen: set[str] = set()
    for part in itertools.count():
        for example in some(strategy, seed * 10_000 + part):
            if len(seen) < number and repr(example) not in seen:
                seen.add(repr(example))
                yield example
        if len(seen) == number:
            return


def some(strategy: st.SearchStrategy[Any], seed: int) -> list[Any]:
    """Some examples."""
    found: list[Any] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=25,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found


def attack(row: Row, folder: Path, content: bytes, forced: list[str], function: Callable[[list[str]], object]) -> None:
    """One trial in a folder of its own, which holds the option file alone."""
    folder.mkdir()
    (folder / 'options.yml').write_bytes(content)
    around = sorted(folder.parent.iterdir())
    outcome = attempt(lambda: function(forced), folder)
    broken = []
    if [*folder.rglob('harm')]:
        broken.append('code was run')
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.name != 'options.yml')
    if outcome.end == 'refused' and left:
        broken.append(f'refused, but left {left[:3]}')
    if new := set(folder.parent.iterdir()) - {*around, folder.parent / 'trial.stderr'}:
        broken.append(f'wrote {sorted(path.name for path in new)}')
    name = f'--force_yml {forced!r} on {content!r}' if outcome.fault or broken else ''
    if outcome.end == 'traceback' and not ours(content):
        outcome = Outcome('left alone', seconds=outcome.seconds)
    row.add(outcome, name, '; '.join(broken))
    shutil.rmtree(folder)


def ours(content: bytes) -> bool:
    """Whether a run by these options uses this package, which leaves others alone."""
    try:
        return uses_plugin(load(content, any_keys=True))
    except YAMLError:
        return True


def start(module: Any, pipeline: str, forced: list[str]) -> None:
    """Train or test by `options.yml`, as `asid train` does, for two iterations at most."""
    parse_options = module.parse_options

    def shortened(*args: Any, **kwargs: Any) -> Any:
        opt, parsed = parse_options(*args, **kwargs)
        opt['compile'] = False
        if opt['is_train']:
            opt['train']['total_iter'] = min(2, opt['train']['total_iter'])
            opt['logger'] |= {'print_freq': 1, 'save_checkpoint_freq': 2}
            opt['datasets']['train'] |= {'num_worker_per_gpu': 0, 'persistent_workers': False}
            if opt.get('val'):
                opt['val']['val_freq'] = 2
        return opt, parsed

    module.parse_options = shortened
    sys.argv = [pipeline, '-opt', 'options.yml', *(['--force_yml', *forced] if forced else [])]
    try:
        getattr(module, pipeline)(str(Path.cwd()))
    except FloatingPointError:  # the end of a training with a learning rate of 1e9, which says so
        return


def evaluate(sets: Path, _forced: list[str]) -> int:
    """Evaluate the network of `options.yml`."""
    return main(['evaluate', str(sets), '--scale', '2', '--network', 'options.yml', '-o', 'results'])

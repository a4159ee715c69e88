"""The JSON Schema of option files: that it is what the code makes, and that it tells right files from wrong ones."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import yaml
from jsonschema import Draft7Validator

import asid_plugin  # noqa: F401  # before basicsr

# isort: split
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY
from torch import nn

from asid_plugin.options.asid_keys import ASIDValOptions
from asid_plugin.options.basicsr_keys import DatasetOptions, GeneralOptions, LoggerOptions, TrainOptions
from asid_plugin.options.declaration import Option
from asid_plugin.options.kinds import Kind
from asid_plugin.options.network import check_network
from asid_plugin.options.schema import SHIPPED, options_schema, to_json
from asid_plugin.options.structure import structural_problems, without
from asid_plugin.options.words import in_words
from helpers import TINY, command

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / 'options').rglob('*.yml'))
OPTIMIZERS = ('adam', 'optimizer')


@pytest.fixture(scope='module')
def shipped() -> dict[str, Any]:
    return json.loads(SHIPPED.read_text(encoding='utf-8'))


def test_the_shipped_schema_is_what_the_code_makes(shipped: dict):
    Draft7Validator.check_schema(shipped)
    made = json.loads(to_json())
    others = [
        {**schema, 'definitions': {k: v for k, v in schema['definitions'].items() if k not in OPTIMIZERS}}
        for schema in (made, shipped)
    ]
    assert others[0] == others[1], 'asid schema writes it anew'
    tested = re.search(r'^TORCH=(\S+)', (ROOT / 'scripts/setup.sh').read_text(), re.MULTILINE)[1]
    if torch.__version__.split('+')[0] != tested:
        pytest.skip(f'the optimizers of torch {torch.__version__} may be others than those of {tested}')
    assert made == shipped


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_an_option_file_names_the_schema_and_fits_it(file: Path, shipped: dict):
    text = file.read_text(encoding='utf-8')
    name = re.match(r'# yaml-language-server: \$schema=(\S+)\n', text)[1]
    assert (file.parent / name).resolve() == SHIPPED.resolve()
    assert [error.message for error in Draft7Validator(shipped).iter_errors(yaml.safe_load(text))] == []


# Edits of train_ASID_x2.yml, and the place and the keyword of the one error that any validator finds.
MISTAKES = """
name = DELETED                            |  | required
trian = {}                                |  | additionalProperties
model_type = ASIDModell                   | model_type | enum
num_gpu = all                             | num_gpu | anyOf
scale = 2.5                               | scale | type
network_g:type = DELETED                  | network_g | required
network_g:type = ASDI                     | network_g:type | enum
network_g:num_blok = 3                    | network_g | additionalProperties
network_g:num_block = three               | network_g:num_block | type
network_g:sharing = intre                 | network_g:sharing | enum
network_g = {type: OmniSR, sharing: none} | network_g | additionalProperties
network_g = {type: EDSR, num_in_ch: 3}    | network_g | required
datasets:test = {type: FFHQDataset}       | datasets | pattern
datasets:train = DELETED                  | datasets | required
datasets:train:gt_size = DELETED          | datasets:train | required
datasets:train:use_flip = true            | datasets:train | additionalProperties
datasets:train:batch_size_per_gpu = 0     | datasets:train:batch_size_per_gpu | minimum
datasets:train:prefetch_mode = gpu        | datasets:train:prefetch_mode | anyOf
datasets:val:filename_tmpl = x2           | datasets:val:filename_tmpl | pattern
datasets:val:io_backend:type = lmbd       | datasets:val:io_backend | anyOf
path:strict_load_g = 1                    | path:strict_load_g | type
train:optim_g:lr = DELETED                | train:optim_g | required
train:optim_g:beta = [0.9, 0.99]          | train:optim_g | additionalProperties
train:optim_g:lr = fast                   | train:optim_g:lr | type
train:optim_g:type = AdmW                 | train:optim_g:type | enum
train:scheduler:milestones = DELETED      | train:scheduler | required
train:total_iter = 2.5                    | train:total_iter | multipleOf
train:ema_decay = 1                       | train:ema_decay | exclusiveMaximum
train:amp = bf8                           | train:amp | anyOf
train:pixel_opt:reduction = man           | train:pixel_opt:reduction | enum
train:fft_opt = {type: FFT}               | train:fft_opt:type | enum
val:tile = 8                              | val:tile | anyOf
val:save_img = DELETED                    | val | required
val:metrics:psnr:test_y = true            | val:metrics:psnr | additionalProperties
val:metrics:psnr:crop_border = DELETED    | val:metrics:psnr | required
val:metrics:psnr:better = more            | val:metrics:psnr:better | enum
logger:print_frq = 100                    | logger | additionalProperties
model_type = SRModel                      | train:optim_g:type val:borders | enum
val:borders = reflect                     | val:borders | enum
"""


def edited(opt: dict, edit: str) -> dict:
    """A copy of options with one value set, or DELETED."""
    key, _, value = edit.strip().partition(' = ')
    section = opt = deepcopy(opt)
    *names, last = key.split(':')
    for name in names:
        section = section[name]
    if value == 'DELETED':
        del section[last]
    else:
        section[last] = yaml.safe_load(value)
    return opt


@pytest.mark.parametrize('line', MISTAKES.strip().splitlines(), ids=lambda line: line.partition('|')[0].strip())
def test_a_typical_mistake_does_not_fit(line: str, shipped: dict):
    edit, place, keyword = line.split('|')
    opt = edited(yaml.safe_load((ROOT / 'options/train_ASID_x2.yml').read_text()), edit)
    errors = list(Draft7Validator(shipped).iter_errors(opt))
    assert [(':'.join(error.absolute_path), error.validator) for error in errors] == [
        (name, keyword.strip()) for name in place.strip().split(' ')
    ]


def keys_of(section: dict, key: tuple = ()) -> Iterator[tuple]:
    for name, value in section.items():
        yield (*key, name)
        if isinstance(value, dict):
            yield from keys_of(value, (*key, name))


@pytest.mark.slow
@pytest.mark.parametrize('stem', ['train_ASID_x2', 'test_ASID_x2'])
def test_a_typo_in_any_key_names_that_key(stem: str):
    opt = yaml.safe_load((ROOT / f'options/{stem}.yml').read_text())
    schema = options_schema(is_train=stem.startswith('train'))
    open_sections = {('datasets',), ('val', 'metrics'), ('logger', 'wandb')}  # of any names
    keys = [key for key in keys_of(opt) if key[:-1] not in open_sections and key[-1] != 'type']
    assert len(keys) > 20
    for *section, name in keys:
        mistyped = name[:1] + name[2:] if len(name) > 4 else name + name[-1]
        wrong = deepcopy(opt)
        place = wrong
        for part in section:
            place = place[part]
        place[mistyped] = place.pop(name)
        lines = [str(problem) for problem in structural_problems(wrong, schema)]
        start = ': '.join((*section, mistyped, f'unknown; did you mean {name}?'))
        assert any(line.startswith(start) for line in lines), lines


def test_numbers_are_those_that_the_code_takes():
    schema = {'properties': DatasetOptions.properties() | TrainOptions.properties()}
    right = {'batch_size_per_gpu': 8, 'dataset_enlarge_ratio': 5000.0, 'total_iter': 3e5, 'ema_decay': 0}
    assert structural_problems(right, schema) == []
    wrong = {'batch_size_per_gpu': 8.0, 'gt_size': True, 'total_iter': float('inf'), 'ema_decay': float('nan')}
    assert [str(problem) for problem in structural_problems(wrong, schema)] == [
        'gt_size: True should be a whole number of at least 1',
        'batch_size_per_gpu: 8.0 should be a whole number of at least 1',
        'ema_decay: nan should be a number of at least 0 and below 1',
        'total_iter: inf should be a whole number of at least 1 and at most 1000000000',
    ]


@pytest.mark.parametrize(
    ('option', 'words'),
    [
        (GeneralOptions.num_gpu, 'auto or a whole number of at least 0'),
        (ASIDValOptions.tile, 'a whole number of at least 16, or ~'),
        (ASIDValOptions.amp, 'bf16 or fp16, or ~'),
        (DatasetOptions.io_backend, 'type: disk or type: lmdb'),
        (DatasetOptions.filename_tmpl, 'text like {}x2'),
        (LoggerOptions.wandb, 'a section (lines of key: value below it, indented), or ~'),
        (Option(Kind({'type': ['number', 'array']}), '', None), 'a number or a list'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_values_in_words(option: Option, words: str):
    assert in_words(option.schema) == words


def test_descriptions_are_ours_alone(shipped: dict):
    sections = {
        branch['then']['title']: branch['then']['properties']
        for name in ('network', 'loss')
        for branch in shipped['definitions'][name]['allOf']
    }
    described = {name for name, section in sections.items() if 'description' in json.dumps(section)}
    assert described == {'ASID', 'OmniSR', 'FFTLoss', 'WideCharbonnierLoss'}
    assert sections['ASID']['num_block'] == {
        'type': 'integer',
        'default': 3,
        'description': 'Blocks N: 3 is ASID, 8 is ASID-D8.',
    }
    assert (
        sections['FFTLoss']['reduction']['enum'] == sections['L1Loss']['reduction']['enum'] == ['none', 'mean', 'sum']
    )


class Mine(nn.Module):
    """Somebody's network, its docstring in another manner.

    Args:
        num_in_ch
    """

    def __init__(
        self, num_in_ch: int, mode: Literal['fast', 'good'] = 'good', ratio=1, norm=None, *, bias: bool = True
    ):
        super().__init__()
        if num_in_ch == 2:
            raise ValueError('two channels are none of mine')


@pytest.fixture
def registered_mine() -> Iterator[None]:
    ARCH_REGISTRY.register(Mine)
    yield
    del ARCH_REGISTRY._obj_map['Mine']


@pytest.mark.parametrize(
    ('arguments', 'lines'),
    [
        ({'num_in_ch': 3, 'ratio': 0.5, 'norm': ['any'], 'bias': False}, []),
        ({'num_in_ch': 2}, ['network_g: Mine: two channels are none of mine']),
        ({'num_in_ch': 2.0}, ['network_g: num_in_ch: 2.0 should be a whole number']),
        (
            {'num_in_ch': 3, 'mode': 'fats', 'bais': 1},
            [
                "network_g: mode: 'fats' should be fast or good; did you mean fast?",
                'network_g: bais: unknown; did you mean bias? (Mine)',
            ],
        ),
        (
            {'ratio': 'half'},
            ["network_g: ratio: 'half' should be a number", 'network_g: num_in_ch: missing; Mine needs it'],
        ),
    ],
    ids=str,
)
def test_a_network_of_ones_own(arguments: dict, lines: list[str], registered_mine: None):
    opt = {'scale': 2, 'network_g': {'type': 'Mine', **arguments}}
    assert sorted(map(str, check_network(opt))) == sorted(lines)


def test_the_command_writes_a_schema_with_parts_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    (tmp_path / 'my_losses.py').write_text(
        'from basicsr.utils.registry import LOSS_REGISTRY\n@LOSS_REGISTRY.register()\nclass MyLoss:\n    pass\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / 'schemas' / 'mine.json'
    try:
        assert command('schema')([file, '--import', 'my_losses']) == 0
    finally:
        del LOSS_REGISTRY._obj_map['MyLoss']
    assert 'MyLoss' in json.loads(file.read_text())['definitions']['loss']['properties']['type']['enum']
    assert [path.name for path in file.parent.iterdir()] == ['mine.json']
    assert command('schema')([file, '--import', 'no_such_module']) == 2
    assert "--import no_such_module: No module named 'no_such_module'" in capsys.readouterr().err


def test_options_without_some_keys():
    opt = {'scale': 2, 'network_g': TINY, 'train': None}
    assert without(opt, [('scale',), ('network_g', 'type'), ('train', 'lr'), ('val', 'tile')]) == {
        'network_g': {key: value for key, value in TINY.items() if key != 'type'},
        'train': None,
    }

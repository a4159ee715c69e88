"""Option files and `--force_yml` as strangers may write them, through BasicSR's own `parse_options`."""

import importlib.util
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import asid_plugin  # before basicsr

# isort: split
from basicsr import train
from basicsr.utils import options as basicsr_options

from asid_plugin.options.building import MOST_TENSORS, check_built
from asid_plugin.options.checks import check_compile, check_general, check_logger
from asid_plugin.options.epochs import check_batch
from asid_plugin.options.network import check_network
from asid_plugin.options.others import check_model, check_samples
from asid_plugin.options.problems import Problem
from asid_plugin.options.resuming import find_state

Parse = Callable[..., list[str]]


@pytest.fixture
def parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Parse:
    """A function that parses an option file and returns the lines with which that ends."""
    monkeypatch.chdir(tmp_path)

    def start(options: dict[str, Any] | str | bytes, *force_yml: str) -> list[str]:
        text = options if isinstance(options, str | bytes) else yaml.safe_dump(options)
        Path('a.yml').write_bytes(text if isinstance(text, bytes) else text.encode())
        forced = ['--force_yml', *force_yml] if force_yml else []
        monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', 'a.yml', *forced])
        with pytest.raises(SystemExit, match='2'):
            train.parse_options(str(tmp_path), is_train=True)
        assert list(tmp_path.iterdir()) == [tmp_path / 'a.yml']
        return capsys.readouterr().err.splitlines()

    return start


def test_an_entry_into_a_section_that_another_has_replaced(parse: Parse):
    options = {'model_type': 'ASIDModel', 'val': {'metrics': {'psnr': {'better': 'higher'}}}}
    assert parse(options, 'val=1', 'val:metrics:psnr:better=lower') == [
        '--force_yml: val:metrics:psnr:better=lower: an earlier entry replaces the section val'
    ]


def test_a_name_that_is_too_long_for_a_file():
    assert find_state({'path': {'resume_state': 'x' * 300}}) is None


@pytest.mark.parametrize(
    'tag', ['object/apply:os.mkdir [harm]', 'object/new:os.mkdir [harm]', "object/apply:eval [\"open('harm', 'w')\"]"]
)
@pytest.mark.parametrize('key', ['evil: ', 'network_g: {type: ASID, evil: ', '- '])
def test_no_line_runs_code(parse: Parse, key: str, tag: str):
    text = f'{key}!!python/{tag}{"}" if "{" in key else ""}'
    assert parse(text) == [f'a.yml: line 1: !!python/{tag.split(" ")[0]} is not plain YAML; only plain values are read']


def test_no_line_runs_code_where_basicsr_reads_alone(tmp_path: Path):
    """Scripts of others call `ordered_yaml` themselves."""
    file = tmp_path / 'a.yml'
    file.write_text(f'evil: !!python/object/apply:os.mkdir [{tmp_path}/harm]')
    with file.open() as stream, pytest.raises(ValueError, match='line 1: !!python/object/apply:os.mkdir is not plain'):
        yaml.load(stream, Loader=basicsr_options.ordered_yaml()[0])
    assert list(tmp_path.iterdir()) == [file]
    file.write_text('a: é\nb: !!python/name:asid_plugin.__version__')
    with file.open(encoding='latin-1') as stream:
        options = yaml.load(stream, Loader=basicsr_options.ordered_yaml()[0])
    assert options == {'a': 'é', 'b': asid_plugin.__version__}
    assert yaml.dump(options, Dumper=basicsr_options.ordered_yaml()[1]) == f'a: "\\xE9"\nb: {asid_plugin.__version__}\n'


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        ('name=a=b', 'name=a=b: should be section:key=value, with one equals sign'),
        ('name', 'name: should be section:key=value, with one equals sign'),
        ('=1', "=1: '' is not a key; use section:key=value"),
        ('train::lr=1', "train::lr=1: '' is not a key; use section:key=value"),
        ('x"]=open("harm","w")#', None),
        ('x"];open("harm","w")#=1', 'x"];open("harm","w")#=1: \'x"];open("harm","w")#\' is not a key; use'),
        ('trian:amp=bf16', 'trian:amp=bf16: a.yml has no section trian; did you mean train?'),
        ('train:optim:lr=1', 'train:optim:lr=1: a.yml has no section train:optim; did you mean train:optim_g?'),
        ('name:a=1', 'name:a=1: a.yml has no section name'),
        ('train:total_iter=[1', "train:total_iter=[1: '[1' is not a list or number"),
        ('train:total_iter=[open("harm","w")]', 'train:total_iter=[open("harm","w")]: \'[open("harm","w")]\' is no'),
        ('train:total_iter=²', "train:total_iter=²: '²' is not a list or number"),
        ('train:total_iter=!!float x', "train:total_iter=!!float x: '!!float x' is not a list or number"),
        ('train:total_iter=' + '9' * 5000, None),
        ('train:total_iter=[0x' + 'f' * 5000 + ']', None),
    ],
)
def test_entries_that_cannot_be_read(parse: Parse, entry: str, message: str | None):
    options = {'name': 'a', 'model_type': 'ASIDModel', 'train': {'total_iter': 1, 'optim_g': {'lr': 1e-3}}}
    [line] = parse(options, entry)
    assert line.startswith(f'--force_yml: {message or entry}')


@pytest.mark.parametrize('key', ['total_iter', 'manual_seed', 'scale'])
def test_a_number_of_thousands_of_digits(parse: Parse, key: str):
    text = f'name: a\nmodel_type: ASIDModel\n{key}: 0x'
    assert parse(text + 'f' * 5000) == [f"a.yml: line 3: '0x{'f' * 57} is a number of more than 300 characters"]


FOREIGN = 'name: a\nmodel_type: TheirModel\nnum_gpu: 0\npath: {}\ndatasets: {}\n1: {on: 2}\n'


def test_keys_of_runs_that_do_not_use_the_plugin_are_left_alone(
    parse: Parse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / 'a.yml').write_text(FOREIGN)
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', 'a.yml'])
    opt, _ = train.parse_options(str(tmp_path), is_train=True)
    assert opt[1] == {True: 2}
    line = "line 6: the key '1' is not text but int in YAML; write '1' in quotation marks"
    assert parse(FOREIGN.replace('TheirModel', 'ASIDModel')) == [f'a.yml: {line}']
    assert parse(FOREIGN, 'model_type=ASIDModel') == [f'a.yml: {line}']


def test_an_entry_that_makes_basicsr_fail_is_named(parse: Parse):
    options = {'name': 'a', 'model_type': 'ASIDModel', 'path': {}, 'datasets': {}}
    lines = parse(options, 'path:resume_state=[1]', 'total_iter=10', 'manual_seed=!!float -1')
    assert '--force_yml: path: resume_state: [1] should be text, or ~' in lines
    assert '--force_yml: total_iter: unknown; did you mean train:total_iter?' in lines
    assert '--force_yml: manual_seed: -1.0 should be a whole number of at least 0 and at most 2147483648' in lines


def test_lists_are_still_lists():
    assert basicsr_options._postprocess_yml_value("[1, 2.5e-4, 'a', None, [True]]") == [1, 2.5e-4, 'a', None, [True]]


def test_options_in_a_form_that_basicsr_cannot_take(parse: Parse):
    start = {'name': 'a', 'model_type': 'ASIDModel'}
    for key, value, message in (
        ('datasets', [1], 'datasets: [1] should be a section (lines of key: value below it, indented)'),
        ('datasets', {'train': 'x'}, "datasets: train: 'x' should be a section (lines of key: value below it,"),
        (
            'datasets',
            {'train': {'type': 'PairedImageDataset', 'dataroot_gt': 2}},
            'datasets: train: dataroot_gt: 2 should be text',
        ),
        ('path', 'x', "path: 'x' should be a section (lines of key: value below it, indented)"),
        ('path', {'resume_state': ['a']}, "path: resume_state: ['a'] should be text, or ~"),
        ('name', [1], 'name: [1]; it should be a folder name without slashes'),
        ('network_g', {'type': ['ASID']}, "network_g: type: ['ASID'] is unknown;"),
        ('manual_seed', 'x', "manual_seed: 'x' should be a whole number"),
    ):
        assert any(line.startswith(f'a.yml: {message}') for line in parse({**start, key: value})), key


def test_a_long_value_is_cut_short_and_printable(parse: Parse):
    [line] = [line for line in parse({'model_type': 'ASIDModel', 'name': 'a', 'scale': 'x' * 5000}) if 'scale' in line]
    assert line == f"a.yml: scale: '{'x' * 119}... should be a whole number of at least 1"


def test_a_pipe_is_no_option_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    os.mkfifo(tmp_path / 'a.yml')
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', str(tmp_path / 'a.yml')])
    with pytest.raises(SystemExit, match='2'):
        train.parse_options('.', is_train=True)
    assert capsys.readouterr().err == f'{tmp_path / "a.yml"}: not a file\n'


@pytest.mark.parametrize(('name', 'right'), [('é' * 91, False), ('é' * 90, True), ('a\nb', False), ('a b', True)])
def test_folders_can_have_the_name(name: str, right: bool):
    assert [*check_general({'is_train': True, 'name': name})] == [] or not right


def test_packages_that_report_must_be_there(monkeypatch: pytest.MonkeyPatch):
    opt = {'is_train': True, 'name': 'a', 'logger': {'use_tb_logger': True, 'wandb': {'project': 'p'}}}
    monkeypatch.setattr('asid_plugin.options.checks.find_spec', lambda name: None)
    assert [*check_logger(opt)] == [
        Problem(('logger', 'wandb', 'project'), 'wandb is not installed: pip install wandb'),
        Problem(('logger', 'use_tb_logger'), 'tensorboard is not installed: pip install tensorboard'),
    ]
    assert [*check_logger(opt | {'name': 'debug_a'})] == []
    monkeypatch.setattr('asid_plugin.options.checks.find_spec', importlib.util.find_spec)
    no_tb = opt | {'logger': {'use_tb_logger': False, 'wandb': {'project': None}}}
    assert [*check_logger(no_tb)] == []


@pytest.mark.slow
def test_the_arguments_of_compile():
    for arguments, message in (
        ({'mode': 'fast'}, 'torch.compile: '),
        ({'moed': 'default'}, 'torch.compile: compile() got an unexpected keyword argument'),
        ({'backend': 'none'}, 'torch.compile: '),
    ):
        [problem] = check_compile({'is_train': True, 'compile': arguments})
        assert str(problem).startswith(f'compile: {message}')
    assert [
        *check_compile({'is_train': True, 'compile': {'mode': 'default', 'fullgraph': True}}),
        *check_compile({'is_train': True, 'compile': True}),
    ] == []


@pytest.mark.slow
def test_no_large_network_is_built():
    built = []

    class Growing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for i in range(10 * MOST_TENSORS):
                built.append(i)
                self.add_module(str(i), torch.nn.Identity())

    message = 'Growing: a network of more than 20000 modules and tensors; that is too large'
    assert [*check_built(('network_g',), {'type': 'Growing'}, {'Growing': Growing})] == [
        Problem(('network_g',), message)
    ]
    assert len(built) == MOST_TENSORS + 1
    assert [*check_network({'network_g': {'type': 'ASID', 'num_block': 8}})] == []


def test_an_epoch_that_nobody_can_list():
    opt = {'dist': False, 'num_gpu': 0, 'train': {'total_iter': 10}}
    dataset = {'batch_size_per_gpu': 8, 'dataset_enlarge_ratio': 10_000_000}
    why = 'x 3 images are more than this training draws, but BasicSR lists them all for an epoch; use at most'
    message = f'10000000 {why} '
    key = ('datasets', 'train')
    assert [*check_batch(key, dataset, opt, 3)] == [Problem((*key, 'dataset_enlarge_ratio'), f'{message}1666666')]
    assert [*check_batch(key, dataset | {'dataset_enlarge_ratio': 1_666_666}, opt, 3)] == []
    longer = opt | {'train': {'total_iter': 2_000_000}}
    assert [*check_batch(key, dataset | {'dataset_enlarge_ratio': 4_000_000}, longer, 3)] == []
    assert [*check_batch(key, dataset, longer, 3)] == [Problem((*key, 'dataset_enlarge_ratio'), f'{message}5333333')]


ASID_X2 = {'type': 'ASID', 'num_feat': 16, 'num_block': 1}


@pytest.mark.parametrize(
    ('opt', 'problems'),
    [
        ({'model_type': 'SRModel'}, []),
        ({'model_type': 'EDVRModel'}, ['model_type: EDVRModel is for other networks; use ASIDModel or']),
        ({'model_type': 'StyleGAN2Model'}, ['model_type: StyleGAN2Model is for other networks; use']),
    ],
)
def test_models_for_other_purposes(opt: dict[str, Any], problems: list[str]):
    found = [str(problem) for problem in check_model({'is_train': True, 'network_g': ASID_X2, **opt})]
    assert [line[: len(right)] for line, right in zip(found, problems, strict=True)] == problems


def test_datasets_for_other_purposes(options: dict[str, Any]):
    dataset = {**options['datasets']['train'], 'phase': 'train', 'scale': 2}
    for kind, message in (
        ('REDSDataset', 'REDSDataset needs the key dataroot_flow'),
        ('SingleImageDataset', "SingleImageDataset does not return image pairs: 'gt' of a sample is missing"),
        ('VideoTestDataset', 'VideoTestDataset needs the key cache_data'),
    ):
        datasets = {'train': {**dataset, 'type': kind}}
        before = torch.random.get_rng_state(), random.getstate()
        [problem] = check_samples({'model_type': 'ASIDModel', 'datasets': datasets})
        assert str(problem) == f'datasets: train: {"type: " if "sample" in message else ""}{message}'
        assert random.getstate() == before[1] and torch.equal(torch.random.get_rng_state(), before[0])
    single = {'train': {**dataset, 'type': 'SingleImageDataset', 'phase': 'val'}}
    assert [*check_samples({'model_type': 'ASIDModel', 'datasets': single})] == []

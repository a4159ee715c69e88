"""The declarations of keys and arguments: what is read by them, and that they say what the code does."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import asid_plugin  # noqa: F401  # before basicsr

# isort: split
import basicsr
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY

from asid_plugin.models.asid_model import AMP_DTYPES
from asid_plugin.options.asid_arguments import SENTENCES
from asid_plugin.options.asid_keys import AMP, ASIDTrainOptions, ASIDValOptions
from asid_plugin.options.basicsr_arguments import ARGUMENTS
from asid_plugin.options.basicsr_keys import PathOptions, TrainOptions
from asid_plugin.options.declaration import Needed, Section
from asid_plugin.options.page import to_markdown
from asid_plugin.options.schema import SCHEDULERS, registered
from asid_plugin.options.sections import SECTIONS
from asid_plugin.options.signatures import parameters
from asid_plugin.options.structure import structural_problems
from helpers import command

ROOT = Path(__file__).parents[2]


def components() -> dict[str, Any]:
    """Networks, losses, schedulers and metrics by name."""
    found = dict(SCHEDULERS)
    for registry in (ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY):
        found |= registered(registry)
    return found


def test_an_option_is_read_with_its_default():
    val = ASIDValOptions({'tile': 64, 'tile_overlap': None})
    assert (val.tile, val.tile_overlap, val.tile_batch, val.self_ensemble, val.amp) == (64, 24, 16, False, None)
    assert ASIDValOptions(None).tile is None
    assert ASIDTrainOptions({'accumulate': 4}).accumulate == 4


def test_no_value_is_a_value_where_the_key_takes_it():
    assert PathOptions({}).param_key_g == 'params'
    assert PathOptions({'param_key_g': None}).param_key_g is None
    assert PathOptions({'strict_load_g': None}).strict_load_g is True


def test_a_needed_option_that_is_missing_is_named():
    with pytest.raises(KeyError, match='total_iter'):
        _ = TrainOptions({}).total_iter


@pytest.mark.parametrize('section', SECTIONS, ids=lambda section: section.__name__)
def test_defaults_are_values_that_the_key_may_have(section: type[Section]):
    options = section.declared()
    assert all(option.sentence.endswith('.') for option in options.values())
    defaults = {name: option.default for name, option in options.items() if not isinstance(option.default, Needed)}
    given = {name: default for name, default in defaults.items() if default is not None}
    assert structural_problems(given, {'properties': section.properties()}) == []


def test_defaults_of_basicsrs_keys_are_basicsrs():
    """Every `get('key', default)` in BasicSR's code for the keys that are declared."""
    declared = {name: option for section in reversed(SECTIONS) for name, option in section.declared().items()}
    read = {}
    models = [f'models/{name}_model.py' for name in ('base', 'sr', 'srgan', 'realesrnet', 'realesrgan')]
    for file in ('train.py', 'data/__init__.py', *models):
        for node in ast.walk(ast.parse((Path(basicsr.__file__).parent / file).read_text(encoding='utf-8'))):
            if isinstance(node, ast.Call) and getattr(node.func, 'attr', None) == 'get' and len(node.args) == 2:
                read[ast.literal_eval(node.args[0])] = ast.literal_eval(node.args[1])
    found = {name: default for name, default in read.items() if name in declared}
    assert len(found) >= 16
    assert {name: declared[name].default for name in found} == found


def test_declarations_need_no_torch_and_no_basicsr():
    code = (
        'import sys; import asid_plugin.options.asid_keys, asid_plugin.options.basicsr_keys, asid_plugin.tiles; '
        "print([name for name in ('torch', 'basicsr', 'numpy', 'jsonschema', 'yaml') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout == '[]\n'


def test_the_types_of_autocast_are_those_that_are_declared():
    assert tuple(AMP_DTYPES) == (None, *AMP)


@pytest.mark.parametrize('name', ARGUMENTS)
def test_declared_arguments_are_basicsrs(name: str):
    owners = {
        ancestor.__name__: ancestor
        for item in components().values()
        for ancestor in (inspect.getmro(item) if inspect.isclass(item) else [item])
    }
    assert owners[name].__module__.startswith('basicsr.')
    for argument in ARGUMENTS[name]:
        parameter = parameters(owners[name])[argument]
        assert parameter.annotation is parameter.empty, 'the signature says it by now'


def test_every_argument_of_ours_has_a_sentence():
    ours = {name: item for name, item in components().items() if item.__module__.startswith('asid_plugin.')}
    assert set(SENTENCES) == set(ours)
    for name, sentences in SENTENCES.items():
        assert sentences.summary
        assert set(sentences.arguments) == set(parameters(ours[name])) - {'img', 'img2'}


def test_the_page_is_what_the_declarations_say():
    page = (ROOT / 'docs/options.md').read_text(encoding='utf-8')
    assert page == to_markdown(), 'asid schema --page docs/options.md writes it anew'


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture):
    file = tmp_path / 'options.md'
    assert command('schema')(['--page', file]) == 0
    assert file.read_text(encoding='utf-8') == to_markdown()
    assert command('schema')([tmp_path / 'schema.json', '--page', file]) == 2
    assert capsys.readouterr().err.endswith('write only one at a time\n')

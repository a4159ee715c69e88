"""YAML of which only plain values are read."""

import datetime
import os
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import yaml

from asid_plugin.plain_yaml import MOST_BYTES, YAMLError, load, read
from asid_plugin.version import __version__

OPTIONS = sorted((Path(__file__).parents[1] / 'options').rglob('*.yml'))


@pytest.mark.parametrize('file', OPTIONS, ids=lambda file: file.stem)
def test_our_option_files_are_read_as_pyyaml_reads_them(file: Path):
    assert read(file) == yaml.safe_load(file.read_text())


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('', None),
        ('a: [1, 2.5, 5e-4, 1.0e-3, ~, true, x]', {'a': [1, 2.5, '5e-4', 1e-3, None, True, 'x']}),
        ('a: 2026-11-26', {'a': datetime.date(2026, 11, 26)}),
        ('"true": 1\n"1": 2', {'true': 1, '1': 2}),
        ('plugin: !!python/name:asid_plugin.__version__', {'plugin': __version__}),
        ('a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}', {'a': {'b': 1, 'c': 2}, 'd': {'b': 1, 'c': 3}}),
        (b'\xef\xbb\xbfa: \xc3\xa9', {'a': 'é'}),
    ],
)
def test_plain_values(text: str | bytes, value: Any):
    assert load(text) == value


def test_sections_are_in_order_and_aliases_are_copies():
    options = load('b: &x {type: disk}\na: *x')
    assert type(options) is OrderedDict
    assert list(options) == ['b', 'a']
    options['b']['type'] = 'lmdb'
    assert options['a']['type'] == 'disk'


BOMB = 'a0: &a0 [x, x, x]\n' + '\n'.join(f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 9)}]' for i in range(1, 10))
MERGED = 'a0: &a0 {k: x}\n' + '\n'.join(f'a{i}: &a{i} {{<<: [{", ".join([f"*a{i - 1}"] * 9)}]}}' for i in range(1, 10))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a: 1\nb: !!python/object/apply:os.mkdir [harm]', 'line 2: !!python/object/apply:os.mkdir is not plain YAML'),
        ('!!python/object/new:os.mkdir [harm]', 'line 1: !!python/object/new:os.mkdir is not plain YAML'),
        ('a: {b: [!!python/name:os.system ]}', 'line 1: !!python/name:os.system is not plain YAML'),
        (
            'a: !!python/name:asid_plugin.printable.printable',
            'line 1: !!python/name:asid_plugin.printable.printable is',
        ),
        ('a: !!python/module:os', 'line 1: !!python/module:os is not plain YAML'),
        ('a: !!python/tuple [1]', 'line 1: !!python/tuple is not plain YAML'),
        ('a: !!set {b}', 'line 1: !!set is not plain YAML'),
        ('a: !own x', 'line 1: !own is not plain YAML'),
        (BOMB, 'line 5: more than 20000 values, including repetitions by aliases'),
        (MERGED, 'line 5: more than 20000 values, including repetitions by aliases'),
        ('a: &a [1, *a]', 'line 1: *a is an alias inside its own value'),
        ('a: &a\n  b: {c: *a}', 'line 2: *a is an alias inside its own value'),
        ('- ' * 60, 'line 1: more than 50 levels of nested sections and lists'),
        ('[' * 100_000, 'line 1: '),
        ('x' * (MOST_BYTES + 1), 'more than 256 KiB, the limit for option files'),
        ('on: 1', "line 1: the key 'on' is not text but bool in YAML; write 'on' in quotation marks"),
        ('a: {0x10: 1}', "line 1: the key '0x10' is not text but int in YAML; write '0x10' in quotation marks"),
        ('2026-11-26: 1', "line 1: the key '2026-11-26' is not text but timestamp in YAML;"),
        ('? {a: 1}\n: 2', 'line 1: the key a mapping is not text'),
        ('a: 1\nb: "x\\0y"', "line 2: '\\x00' in a text; only visible characters are allowed"),
        ('a\0: 1', 'not YAML: '),
        ('a: "\\e[31m"', "line 1: '\\x1b' in a text"),
        ('"a\\x9b": 1', "line 1: '\\x9b' in a text"),
        ('a: \u202eb', "line 1: '\\u202e' in a text"),
        ('a: !!int b', "line 1: 'b' is not a valid int"),
        ('a: !!bool b', "line 1: 'b' is not a valid bool"),
        ('a: !!timestamp b', "line 1: 'b' is not a valid timestamp"),
        ('a: 2026-13-01', "line 1: '2026-13-01' is not a valid timestamp"),
        ('a: ' + '9' * 5000, "line 1: '" + '9' * 59),
        ('a: 0x' + 'f' * 5000, "line 1: '0x" + 'f' * 57 + ' is a number of more than 300 characters'),
        ('a: -0b' + '1' * 5000, "line 1: '-0b" + '1' * 56 + ' is a number of more than 300 characters'),
        ('a: !!int "0x' + 'f' * 300 + '"', "line 1: '0x" + 'f' * 57 + ' is a number of more than 300 characters'),
        ('a: ' + '1:' * 100_000 + '1', "line 1: '" + '1:' * 29 + '1 is a number of more than 300 characters'),
        ('a: ' + '1:' * 100_000 + '1.5', "line 1: '" + '1:' * 29 + '1 is a number of more than 300 characters'),
        ('0x' + 'f' * 300 + ': 1', "line 1: the key '0x" + 'f' * 57 + ' is not text but int in YAML; write'),
        ('a: [1', 'line 2: not YAML: '),
        ('a: *b', 'line 1: not YAML: found undefined alias'),
        ('a: 1\n---\nb: 1', 'line 2: not YAML: '),
        (b'a: \xff', 'not YAML: byte 3 is not UTF-8'),
    ],
    ids=lambda value: str(value)[:20],
)
def test_anything_else_is_refused(text: str | bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(YAMLError) as caught:
        load(text)
    assert str(caught.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_keys_that_are_numbers_are_read_where_they_may_be():
    assert load('1: {on: 2}\n2026-11-26: ~', any_keys=True) == {1: {True: 2}, datetime.date(2026, 11, 26): None}
    for text, message in (
        ('? [a]\n: 1', 'the key a sequence is not text'),
        ('!!python/name:os.system : 1', '!!python/name:os.system is not plain YAML; only plain values are read'),
        ('0x' + 'f' * 300 + ': 1', "'0x" + 'f' * 57 + ' is a number of more than 300 characters'),
    ):
        with pytest.raises(YAMLError, match=f'^line 1: {re.escape(message)}'):
            load(text, any_keys=True)


def test_a_pipe_that_nobody_writes_to_is_no_file(tmp_path: Path):
    os.mkfifo(tmp_path / 'pipe.yml')
    for path in (tmp_path / 'pipe.yml', tmp_path, Path('/dev/zero')):
        with pytest.raises(YAMLError, match=r'^not a file$'):
            read(path)

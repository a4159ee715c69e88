"""README and docs/: their commands parse, their files exist, their examples in Python run."""

import argparse
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from asid_plugin.archs import ASID
from asid_plugin.checkpoints import save_state_dict
from asid_plugin.commands.main import COMMANDS, module_parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'options/README.md')]
PAGES += [ROOT / 'asid_plugin/weights/README.md', *sorted((ROOT / 'docs').glob('*.md'))]
ELSEWHERE = {'options/mine.yml', 'options/train/train_HAT_SRx2_from_scratch.yml'}
"""Files of the reader's, and of the tree of HAT."""


def commands(text: str) -> list[str]:
    """The calls of `asid` in blocks of code and between backticks, but for those with an ellipsis."""
    text = re.sub(r' *\\\n *', ' ', text)
    blocks = re.findall(
        r'^    (?:\S*=\S* )?(?:torchrun .*? |srun .*? |python -u )?-?-?m? ?(asid .*|.*-m asid_plugin .*)$', text, re.M
    )
    inline = re.findall(r'`((?:torchrun |srun )?[^`\n]*?\b(?:asid|asid_plugin) [a-z][^`\n]*)`', text)
    found = [re.split(r'\b(?:-m asid_plugin|asid) ', line, maxsplit=1)[-1] for line in [*blocks, *inline]]
    return [line for line in found if '…' not in line and '...' not in line and line.split()[0] in COMMANDS]


CALLS = sorted({(page.name, line) for page in PAGES for line in commands(page.read_text(encoding='utf-8'))})


def test_commands_are_found() -> None:
    assert len(CALLS) > 60
    assert {line.split()[0] for _, line in CALLS} >= {'upscale', 'train', 'test', 'evaluate', 'prepare', 'export'}


def parse(line: str) -> None:
    """Parse the call of a command, which may leave out files and values, as a sentence does.

    Raises:
        ValueError: It has an option or a value that the command does not know.
    """
    name, *words = shlex.split(line, comments=True)
    if not words or name == 'mmengine':  # which has MMEngine's own parser
        return
    parser = module_parser(name, import_module(f'asid_plugin.commands.{name}'))
    parsers = [parser]
    for parser_ in parsers:
        for action in parser_._actions:
            action.required = False  # else it would be the first mistake that is found
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
    try:
        parser.parse_args(words)
    except SystemExit as error:
        if error.code:
            raise ValueError(line) from error


@pytest.mark.parametrize(('page', 'line'), CALLS)
def test_commands_parse(page: str, line: str, capsys: pytest.CaptureFixture) -> None:
    try:
        parse(line)
    except ValueError:
        message = capsys.readouterr().err.splitlines()[-1]
        assert 'expected' in message, f'{page}: {line}: {message}'  # an option without its value


@pytest.mark.parametrize('line', ['upscale a.jpg --bogus 3', 'upscale --tile x', 'prepare foto', 'paper table1 --next'])
def test_mistakes_in_commands_are_found(line: str) -> None:
    with pytest.raises(ValueError, match=line):
        parse(line)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_files_of_this_repository_exist(page: Path) -> None:
    text = page.read_text(encoding='utf-8')
    named = set(re.findall(r'(?<![\w/.])((?:options|scripts|tests|asid_plugin|docs)/[\w./-]+\.\w+)', text))
    linked = {link for link in re.findall(r'\]\(([^)#\s]+)', text) if '://' not in link}
    missing = [name for name in named - ELSEWHERE if not (ROOT / name).exists()]
    missing += [link for link in linked if not (page.parent / link).exists()]
    assert missing == []


def examples() -> list[tuple[str, str]]:
    """The blocks of Python that need torch and spandrel only, by page."""
    pages = ((page.name, page.read_text(encoding='utf-8')) for page in PAGES)
    blocks = [(name, code) for name, text in pages for code in re.findall(r'```python\n(.*?)```', text, re.S)]
    return [(name, code) for name, code in blocks if code.startswith(('import', 'from'))]


@pytest.mark.slow
@pytest.mark.parametrize(('page', 'code'), examples())
def test_examples_run(page: str, code: str, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture) -> None:
    """They print what stands behind `print`; nothing is sent to a hub."""
    if 'spandrel' in code:
        pytest.importorskip('spandrel')
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"'([\w/.-]+\.(?:pth|safetensors))'", code):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        save_state_dict(ASID().state_dict(), name)
    exec(re.sub(r'^net\.push_to_hub.*$', '', code, flags=re.M), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed == re.findall(r'print\(.*\)  # (.*)', code), page

"""The command `asid`: what it imports before it has read its arguments, and how it ends."""

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

import asid_plugin
from asid_plugin.checkpoints import LAYOUTS
from asid_plugin.commands import arguments, convert, evaluate, paper, prepare, train, upscale
from asid_plugin.commands import export as export_command
from asid_plugin.commands.main import COMMANDS, EXTRAS, main, module_parser
from asid_plugin.images import FORMATS
from asid_plugin.inference import tiling
from asid_plugin.inference.upscaler import BACKENDS

HEAVY = ('basicsr', 'cv2', 'gradio', 'matplotlib', 'mmengine', 'numpy', 'safetensors', 'spandrel', 'torch', 'tqdm')


def choices(module: object, option: str) -> list[str]:
    """The choices of an option of a command."""
    parser = module_parser('x', module)
    [action] = [action for action in parser._actions if option in action.option_strings]
    return list(action.choices)


def test_arguments_are_read_before_anything_heavy_is_imported() -> None:
    code = f"""
import contextlib, io, sys
from asid_plugin.commands.main import COMMANDS, main
for argv in (['--help'], ['--version'], ['no-such'], *([name, '--help'] for name in COMMANDS),
             *([name, '--no-such-option'] for name in COMMANDS)):
    silent = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
        main(argv)
        raise AssertionError(argv)
print(sorted(set(sys.modules) & set({HEAVY!r})))
"""
    done = subprocess.run([sys.executable, '-c', code], text=True, capture_output=True, timeout=60)
    assert done.stdout == '[]\n', done.stdout + done.stderr


def test_as_a_module_it_is_the_same() -> None:
    done = subprocess.run(
        [sys.executable, '-m', 'asid_plugin', '--version'], text=True, capture_output=True, timeout=60
    )
    assert done.stdout == f'asid_plugin {asid_plugin.__version__}\n'


@pytest.mark.parametrize('name', COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, '--help'])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f'usage: asid {name} ')


def test_a_mistyped_command_lists_those_that_there_are(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        main(['upscal'])
    said = capsys.readouterr().err
    assert end.value.code == 2 and "invalid choice: 'upscal'" in said and 'upscale' in said


@pytest.mark.parametrize(
    ('argv', 'expected'),
    [
        (['upscale', 'a.png', '-o', 'b.png', '--sacle', '4'], '--sacle 4; did you mean --scale?'),
        (['upscale', 'a.png', '-o', 'b.png', '--scal3=4', '--devise=cpu'], 'did you mean --scale, --device?'),
        (['prepare', 'photos', 'folder', '--crop-sise', '96'], '--crop-sise 96; did you mean --crop-size?'),
        (['upscale', 'a.png', '--outptu', 'b.png'], 'required: -o/--output; did you mean --output?'),
        (['upscale', 'a.png', '--out', 'b.png', '--weigths'], '--weigths; did you mean --weights?'),
        (['upscale', 'a.png', '-o', 'b.png', '--xyzzy'], 'unrecognized arguments: --xyzzy'),
        (['prepare', 'photos', 'folder', '--cameras', 'Canon'], 'unrecognized arguments: --cameras Canon'),  # of realsr
        (['train', '--local_rnk=0', 'a.yml'], 'unrecognized arguments: --local_rnk=0'),
    ],
)
def test_a_mistyped_option_names_the_nearest_one(argv: list[str], expected: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2 and capsys.readouterr().err.endswith(f'{expected}\n')


@pytest.mark.parametrize('name', ['train', 'test'])
@pytest.mark.parametrize('argv', [[], ['a.yml', '-opt', 'b.yml'], ['--force_yml', 'name=a', 'a.yml']])
def test_a_run_wants_one_option_file(name: str, argv: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main([name, *argv]) == 2
    where = ', before --force_yml' if '--force_yml' in argv else ''
    assert capsys.readouterr().err == f'error: name one option file{where}: asid {name} options/{name}_ASID_x2.yml\n'


@pytest.mark.parametrize(
    ('file', 'meant'),
    [
        ('options/train_ASID_x5.yml', 'options/train_ASID_x2.yml'),
        ('train_ASID_x2.yml', 'options/train_ASID_x2.yml'),
        ('mien.yml', 'mine.yml'),
        ('q.txt', ''),
    ],
)
def test_a_missing_option_file_is_named_with_the_nearest(
    file: str, meant: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path('options').mkdir()
    for name in ('options/train_ASID_x2.yml', 'options/test_ASID_x2.yml', 'mine.yml'):
        Path(name).touch()
    hint = f'; did you mean {meant}?' if meant else ''
    assert main(['train', file]) == 2
    assert capsys.readouterr().err == f'error: {file} in {tmp_path}: no such file{hint}\n'


def test_the_launchers_rank_may_stand_before_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(train, 'run', seen.append)
    assert main(['--local-rank=3', 'train', 'a.yml', '--force_yml', 'name=a']) == 0
    assert (seen[0].local_rank, seen[0].file, seen[0].force_yml) == (3, 'a.yml', ['name=a'])


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(['curve', str(tmp_path), '-o', str(tmp_path / 'a.csv')]) == 2
    assert capsys.readouterr().err.count('\n') == 1


def test_choices_are_those_of_the_code_that_is_not_imported_for_them() -> None:
    from asid_plugin.archs.asid_arch import SHARING
    from asid_plugin.export import EXPORT_FORMATS
    from asid_plugin.prepare.realsr import CAMERAS
    from asid_plugin.published.reported import BENCHMARKS

    assert (arguments.TILE, arguments.OVERLAP) == (tiling.TILE, tiling.OVERLAP)
    assert choices(upscale, '--ext') == [*(suffix[1:] for suffix in FORMATS), 'keep']
    assert choices(upscale, '--backend') == list(BACKENDS)
    assert choices(convert, '--layout') == list(LAYOUTS)
    assert choices(export_command, '--format') == [*EXPORT_FORMATS, 'web']
    assert (paper.BENCHMARKS, paper.SHARING) == (BENCHMARKS, SHARING)
    parser = module_parser('prepare', prepare)
    assert parser.parse_args(['realsr']).cameras == list(CAMERAS)
    for module in (evaluate, train):  # their parsers can be built, whatever is installed
        module_parser('x', module)


DISTRIBUTIONS = {
    'mmcv': 'mmcv-lite',
    'pillow_heif': 'pillow-heif',
    'pillow_jxl': 'pillow-jxl-plugin',
    'pytorch_optimizer': 'pytorch-optimizer',
    'skimage': 'scikit-image',
    'yaml': 'pyyaml',
}
"""Where a module's distribution is called otherwise."""


@pytest.mark.parametrize(('module', 'extra'), EXTRAS.items())
def test_extras_that_errors_name_bring_the_module(module: str, extra: str) -> None:
    required = [line for line in requires('asid-plugin') if re.search(f'extra == [\'"]{extra}[\'"]', line)]
    assert any(re.match(f'{DISTRIBUTIONS.get(module, module)}\\b', line) for line in required), required

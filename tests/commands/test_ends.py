"""The ends of commands: signals, readers that are gone, special files, and names that a terminal would obey."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from asid_plugin import files
from asid_plugin.commands import interruption
from asid_plugin.commands.interruption import LINE, interruptible
from asid_plugin.commands.main import CONTINUES, main
from fresh import Fresh
from helpers import command

POSIX = pytest.mark.skipif(sys.platform == 'win32', reason='signals, pipes and special files')
ESCAPE, SHOWN = '\x1b[31mred\u202e', r'\x1b[31mred\u202e'


@contextmanager
def python(code: str, *argv: object) -> Iterator[Any]:
    """A process that runs some lines of Python, killed if it has not ended by then."""
    words = [sys.executable, '-c', code, *map(str, argv)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


IMPORTING = """
import sys, types
from asid_plugin.commands import main
module = types.ModuleType('slow')
def run(args):
    import slow_to_import
module.run, module.add_arguments, module.__doc__ = run, lambda parser: None, ''
sys.modules['asid_plugin.commands.' + sys.argv[1]] = module
sys.path.insert(0, sys.argv[2])
sys.exit(main.main([sys.argv[1]]))
"""


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize(('name', 'number'), [('info', 2), ('info', 15), ('train', 2)])
def test_an_interruption_while_modules_are_imported_is_one_line(name: str, number: int, tmp_path: Path) -> None:
    """The module would catch the exception, as many do that try whether another one is there."""
    (tmp_path / 'slow_to_import.py').write_text(
        'import time\n'
        'try:\n    print("begun", flush=True)\n    time.sleep(60)\nexcept BaseException:\n    time.sleep(60)\n'
    )
    with python(IMPORTING, name, tmp_path) as process:
        assert process.stdout.readline() == 'begun\n'
        process.send_signal(number)
        assert (process.wait(10), process.stderr.read()) == (130, f'{LINE}\n')


WRITING = """
import os, sys, types
from asid_plugin.commands import main
from asid_plugin.files import whole_file
module = types.ModuleType('writing')
def run(args):
    with whole_file(sys.argv[2]) as path:
        path.write_bytes(bytes(1000))
        print('begun', flush=True)
        while True:
            pass
module.run, module.add_arguments, module.__doc__ = run, lambda parser: None, ''
sys.modules['asid_plugin.commands.' + sys.argv[1]] = module
sys.exit(main.main([sys.argv[1]]))
"""


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize('name', ['convert', 'evaluate', 'prepare'])
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, getattr(signal, 'SIGHUP', None)])
def test_a_signal_in_the_middle_of_a_file_leaves_nothing(name: str, number: int, tmp_path: Path) -> None:
    with python(WRITING, name, tmp_path / 'new' / 'a.bin') as process:
        assert process.stdout.readline() == 'begun\n'
        process.send_signal(number)
        assert (process.wait(10), process.stderr.read()) == (130, f'{CONTINUES.get(name, LINE)}\n')
    assert list(tmp_path.iterdir()) == [], 'the folder that was made for it is gone, too'


def test_temporary_folders_that_an_interruption_has_left_are_removed_at_the_end(tmp_path: Path) -> None:
    """Such as where a second one hits the removal itself."""
    with interruptible():
        generator = files.temporary(tmp_path / 'new')
        folder = generator.__enter__()
        (folder / 'half').touch()
    assert list(tmp_path.iterdir()) == []


def test_handlers_are_as_before_and_those_of_others_stay() -> None:
    others = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as nohup and shells set it
    try:
        before = signal.getsignal(signal.SIGINT)
        with interruptible():
            assert signal.getsignal(signal.SIGINT) is not before
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGTERM, others)


def test_a_thread_may_run_a_command() -> None:
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(main(['convert', 'none.pth', 'out.pth'])))
    thread.start()
    thread.join()
    assert seen == [2]


@POSIX
def test_a_forked_child_ends_as_its_parent_wants() -> None:
    with interruptible():
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(writing, b'1')  # Python forgets signals that come while it forks
                time.sleep(60)
            finally:
                os._exit(0)  # so that the child does not continue as a test process
        os.read(reading, 1)
        os.kill(child, signal.SIGTERM)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
    assert interruption.STATUS == 130


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize('argv', ['complexity', 'paper table1', '--help', 'schema --help', 'curve none -o a.csv'])
def test_a_command_whose_reader_is_gone_ends_quietly(argv: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = Fresh(['-m', 'asid_plugin', *argv.split()], stdout=writing).communicate()
    os.close(writing)
    expected = 2 if argv.startswith('curve') else 0
    assert done.returncode == expected and done.stderr.count('\n') == (expected > 0), done.stderr


@POSIX
@pytest.mark.slow
def test_an_error_that_nobody_reads_is_still_an_exit_status() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = ['-m', 'asid_plugin', 'convert', 'none.pth', 'out.pth']
    done = Fresh(words, stdout=writing, stderr=writing).communicate()
    os.close(writing)
    assert done.returncode == 2


@pytest.fixture
def special(tmp_path: Path) -> Callable[[str], Path]:
    """Make a pipe, which a reader would wait for."""

    def make(name: str) -> Path:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(tmp_path / name)
        return tmp_path / name

    return make


@POSIX
@pytest.mark.parametrize(
    ('argv', 'expected'),
    [
        ('upscale {} -o out', 'not a regular file but a pipe, a socket or a device'),
        ('upscale /dev/zero -o out', 'not a regular file but a pipe, a socket or a device'),
        ('convert {} out.pth', 'no such file'),
        ('paper table1 --measured {}', 'not a regular file but a pipe, a socket or a device'),
        ('evaluate {} --scale 2 -o out', ''),
        ('schema {}', 'exists and is not a regular file'),
    ],
)
def test_a_pipe_or_device_is_refused_at_once(
    argv: str, expected: str, special, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    pipe = special('pipe.png')
    assert main(argv.format(pipe).split()) in (1, 2)
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    assert expected in line and ('/dev/zero' if '/dev/zero' in argv else str(pipe)) in line
    assert [path.name for path in tmp_path.iterdir()] == ['pipe.png'] and pipe.is_fifo()


@POSIX
def test_a_log_that_is_a_pipe_is_passed_over(special, capsys: pytest.CaptureFixture) -> None:
    pipe = special('x/train_a.log')
    assert command('curve')([pipe.parent, '-o', pipe.parent / 'a.csv']) == 2
    assert 'no train_*.log with iterations' in capsys.readouterr().err


@pytest.mark.parametrize(
    'argv',
    [
        'upscale NAME.png -o out',
        'upscale . -o out --suffix /NAME',
        'upscale a.png -o out --NAME',
        'convert NAME.pth out.pth',
        'convert packaged:x2 NAME/a.xyz',
        'evaluate NAME --scale 2',
        'curve NAME -o a.csv',
        'paper table1 --measured NAME',
        'paper NAME',
        'prepare div2k --hr NAME --workers 1',
        'prepare photos NAME --workers 1',
        'prepare degraded NAME --scale 2',
        'demo --weights NAME',
        'NAME',
    ],
)
def test_no_name_is_shown_raw(argv: str, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word.replace('NAME', ESCAPE) for word in argv.split()]
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    assert status == 2 and SHOWN.split('[')[1] in err and '\x1b' not in out + err and '\u202e' not in out + err


def test_a_name_of_an_output_is_not_shown_raw(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(['convert', 'packaged:x2', f'{ESCAPE}.pth']) == 0
    assert capsys.readouterr().out == f'wrote {SHOWN}.pth, asid layout\n'

"""Locks between processes."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asid_plugin.locks import LockedError, hold, is_held, lock_beside, lock_inside, locked, released_after
from helpers import held_elsewhere


def take(folder: Path) -> bool:
    return hold(lock_inside(folder), folder, 'wait')


def test_a_second_process_is_told_which_has_the_lock(tmp_path: Path):
    with held_elsewhere(lock_inside(tmp_path)) as process:
        with pytest.raises(LockedError) as caught:
            take(tmp_path)
        host = re.escape(socket.gethostname())
        said = rf'{tmp_path}: process {process.pid} on {host}, since \d{{4}}-\d\d-\d\d \d\d:\d\d, writes there; wait'
        assert re.fullmatch(said, str(caught.value))


def test_a_lock_is_held_as_long_as_its_process_lives(tmp_path: Path):
    lock = lock_inside(tmp_path)
    assert not is_held(lock) and not lock.exists()
    with held_elsewhere(lock) as process:
        while not lock.with_name(f'{lock.name}.holder').exists():  # written after the lock is taken
            time.sleep(0.01)
        assert is_held(lock)
        process.kill()  # which leaves the note about it
        process.wait()
        assert not is_held(lock)
    with released_after():
        assert take(tmp_path) and is_held(lock)
    assert not is_held(lock)


@pytest.mark.parametrize('end', [signal.SIGKILL, signal.SIGTERM])
def test_a_lock_dies_with_its_process(tmp_path: Path, end: signal.Signals):
    with held_elsewhere(lock_inside(tmp_path)) as process:
        process.send_signal(end)
        process.wait()
        start = time.monotonic()
        with released_after():
            assert take(tmp_path)
        assert time.monotonic() - start < 1


WITH_A_CHILD = """
import multiprocessing, os, signal, sys, time
from pathlib import Path
from asid_plugin.locks import LockedError, hold

file = Path(sys.argv[1])
hold(file, 'there', 'wait')

def child():
    try:
        hold(file, 'there', 'wait')
    except LockedError as error:
        print(error, flush=True)
    time.sleep(float(sys.argv[2]))

child = multiprocessing.get_context('fork').Process(target=child)
child.start()
child.join(0.1 if len(sys.argv) > 3 else None)
print('left', flush=True)
os.kill(os.getpid(), signal.SIGKILL) if len(sys.argv) > 3 else sys.stdin.read()
"""


def test_a_forked_process_has_not_the_lock_of_its_parent(tmp_path: Path):
    """It is refused like any other, and its end leaves the parent the lock."""
    command = [sys.executable, '-c', WITH_A_CHILD, str(lock_inside(tmp_path)), '0']
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline().startswith(f'there: process {parent.pid} on ')
        assert parent.stdout.readline() == 'left\n'
        with pytest.raises(LockedError, match=f'process {parent.pid} '):
            take(tmp_path)
        parent.stdin.close()


FORKED = """
import os, sys
from pathlib import Path
from asid_plugin.locks import hold, released_after

hold(Path(sys.argv[1]), '', '')
child = os.fork()
if child:
    os.waitpid(child, 0)
    print('left', flush=True)
    sys.stdin.read()
else:
    end = {'exit': sys.exit, 'error': lambda: 1 / 0, 'release': lambda: None}[sys.argv[2]]
    with released_after():
        hold(Path(sys.argv[1]).with_name('other'), '', '')
        end()
"""


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='forks')
@pytest.mark.parametrize('end', ['exit', 'error', 'release'])
def test_however_a_forked_process_ends_its_parent_keeps_the_lock(tmp_path: Path, end: str):
    command = [sys.executable, '-c', FORKED, str(lock_inside(tmp_path)), end]
    pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'stderr': subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as parent:
        assert parent.stdout.readline() == 'left\n'
        with pytest.raises(LockedError, match=f'process {parent.pid} '):
            take(tmp_path)
        parent.stdin.close()


def test_workers_that_outlive_a_killed_process_do_not_keep_its_lock(tmp_path: Path):
    """Those of a DataLoader notice after some seconds that their parent is gone; a training resumes before."""
    command = [sys.executable, '-c', WITH_A_CHILD, str(lock_inside(tmp_path)), '3', 'killed']
    killed = subprocess.run(command, stdout=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    with released_after():
        assert take(tmp_path)


def test_one_process_takes_a_lock_again(tmp_path: Path):
    with released_after():
        assert take(tmp_path)
        assert not take(tmp_path)
        with locked(lock_inside(tmp_path), tmp_path, 'wait'):
            pass
        assert refused_elsewhere(tmp_path)  # the inner block was not the one that took it
    assert not refused_elsewhere(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['.lock']


def test_an_error_releases(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), locked(lock_inside(tmp_path), tmp_path, 'wait'):
        assert 1 / 0
    assert not refused_elsewhere(tmp_path)


def refused_elsewhere(folder: Path) -> bool:
    code = 'import sys; from pathlib import Path; from asid_plugin.locks import hold; hold(Path(sys.argv[1]), "", "")'
    done = subprocess.run([sys.executable, '-c', code, str(lock_inside(folder))], capture_output=True, text=True)
    assert done.returncode == 0 or 'LockedError' in done.stderr
    return done.returncode != 0


def test_however_a_folder_is_spelled_its_lock_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / 'disk' / 'run').mkdir(parents=True)
    (tmp_path / 'link').symlink_to(tmp_path / 'disk')
    (tmp_path / 'disk' / 'other').symlink_to('run')
    monkeypatch.chdir(tmp_path / 'disk')
    spellings = ['run', './run/', '../disk/run', 'other', tmp_path / 'link' / 'run', tmp_path / 'link' / 'other']
    assert {lock_beside(folder) for folder in spellings} == {tmp_path / 'disk' / '.run.lock'}
    with held_elsewhere(Path('run', '.lock')), pytest.raises(LockedError):
        take(tmp_path / 'link' / 'other')


@pytest.mark.parametrize(
    ('note', 'who'),
    [
        ('', 'another process'),
        ('[1]', 'another process'),
        ('{"process": "x", "host": "y", "since": "z"}', 'another process'),
        ('\x00\xff', 'another process'),
        ('{"process": 1, "host": "\\u001b[31mfar\\n", "since": "2026"}', r'process 1 on \x1b[31mfar\n, since 2026,'),
    ],
)
def test_a_note_that_is_damaged_or_not_ours(tmp_path: Path, note: str, who: str):
    with held_elsewhere(lock_inside(tmp_path)):
        (tmp_path / '.lock.holder').write_bytes(note.encode('latin-1'))
        with pytest.raises(LockedError) as caught:
            take(tmp_path)
        assert str(caught.value) == f'{tmp_path}: {who} writes there; wait'


def test_a_note_that_a_killed_process_left_means_nothing(tmp_path: Path):
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    known = {'process': gone.pid, 'host': socket.gethostname(), 'since': ''}
    (tmp_path / '.lock.holder').write_text(json.dumps(known))
    with released_after():
        assert take(tmp_path)
        assert json.loads((tmp_path / '.lock.holder').read_text())['process'] == os.getpid()


@pytest.mark.skipif(sys.platform == 'win32', reason='flock')
def test_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Some, such as Lustre's, know no flock, in whose place a file does; some network disks fail."""
    import fcntl

    def failing(number: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, 'flock', lambda *_: failing(errno.ENOSYS))
    with pytest.warns(UserWarning, match='flock'), released_after():
        assert take(tmp_path)
    monkeypatch.setattr(fcntl, 'flock', lambda *_: failing(errno.ENOLCK))
    with pytest.raises(OSError, match=r"No locks available: '.*/new/\.lock'"):
        take(tmp_path / 'new')


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / 'file').touch()
    with pytest.raises(FileExistsError):
        take(tmp_path / 'file')

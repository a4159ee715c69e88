"""Files shared out over the processes of torchrun and SLURM."""

import os
import signal
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import fresh
import helpers
from asid_plugin.archs import ASID
from asid_plugin.errors import UsageError
from asid_plugin.inference import Share

RNG = np.random.default_rng(0)
TORCHRUN = ('-m', 'torch.distributed.run', '--nproc_per_node=2', '--standalone')


@pytest.mark.parametrize('size', [1, 2, 3, 7, 40])
def test_each_piece_is_exactly_ones_and_all_have_as_much(size):
    work = [*RNG.integers(1, 1000, 30).tolist(), 0, 0, 0]
    shares = [Share(rank, size).of(work) for rank in range(size)]
    assert sorted(index for share in shares for index in share) == list(range(len(work)))
    assert all(share == sorted(share) for share in shares)
    loads = [sum(work[index] for index in share) for share in shares]
    assert max(loads) - min(loads) <= max(work)


def test_pieces_of_unknown_size_are_shared_out_too():
    assert [len(Share(rank, 3).of([0] * 10)) for rank in range(3)] == [4, 3, 3]


def test_one_large_file_does_not_take_small_ones_along():
    work = [48, 1, 1, 1, 1]
    assert Share(0, 2).of(work) == [0] and Share(1, 2).of(work) == [1, 2, 3, 4]


def test_the_environment_of_torchrun():
    environ = {'RANK': '5', 'WORLD_SIZE': '8', 'LOCAL_RANK': '1', 'LOCAL_WORLD_SIZE': '4', 'OMP_NUM_THREADS': '1'}
    share = Share.of_environment(environ)
    assert (share.rank, share.size, share.local_rank, share.prefix) == (5, 8, 1, '[rank 5] ')
    cores = len(os.sched_getaffinity(0)) if sys.platform == 'linux' else os.cpu_count()
    assert share.threads == max(1, cores // 4)
    assert Share.of_environment({**environ, 'OMP_NUM_THREADS': '3'}).threads == 0, 'somebody has said how many'
    assert Share.of_environment({**environ, 'LOCAL_WORLD_SIZE': '1'}).threads == 0


def test_the_environment_of_slurm():
    step = {
        'SLURM_JOB_ID': '7',
        'SLURM_STEP_ID': '0',
        'SLURM_PROCID': '2',
        'SLURM_LOCALID': '0',
        'SLURM_NTASKS': '4',
        'SLURM_STEP_NUM_TASKS': '3',
        'SLURM_CPUS_PER_TASK': '6',
    }
    assert Share.of_environment(step) == Share(2, 3, 0, 6)
    assert Share.of_environment({'SLURM_PROCID': '1', 'SLURM_NTASKS': '2'}) == Share(1, 2, 0, 0)
    batch_script = {'SLURM_JOB_ID': '7', 'SLURM_PROCID': '0', 'SLURM_LOCALID': '0', 'SLURM_NTASKS': '4'}
    assert Share.of_environment(batch_script) == Share(), 'it is alone, whatever srun would start'
    assert Share.of_environment({}) == Share() and Share().prefix == ''


def test_empty_variables_are_as_if_they_were_not_there():
    assert Share.of_environment({'RANK': '', 'WORLD_SIZE': '1'}) == Share()
    assert Share.of_environment({'RANK': '1', 'WORLD_SIZE': '2', 'LOCAL_RANK': ''}) == Share(1, 2, 1, 0)
    step = {'SLURM_PROCID': '1', 'SLURM_NTASKS': '2', 'SLURM_STEP_NUM_TASKS': '', 'SLURM_CPUS_PER_TASK': ''}
    assert Share.of_environment(step) == Share(1, 2, 0, 0)


@pytest.mark.parametrize(
    ('environ', 'message'),
    [
        ({'RANK': 'first', 'WORLD_SIZE': '2'}, "RANK is 'first'; it should be a number from 0"),
        ({'RANK': '0', 'WORLD_SIZE': '2.0'}, "WORLD_SIZE is '2.0'"),
        ({'RANK': '-1', 'WORLD_SIZE': '2'}, "RANK is '-1'"),
        ({'RANK': '2', 'WORLD_SIZE': '2'}, 'RANK is 2; it should be below WORLD_SIZE, 2'),
        ({'SLURM_PROCID': '0', 'SLURM_NTASKS': '2', 'SLURM_CPUS_PER_TASK': 'all'}, "SLURM_CPUS_PER_TASK is 'all'"),
        ({'SLURM_PROCID': '3', 'SLURM_NTASKS': '2'}, 'SLURM_PROCID is 3; it should be below SLURM_NTASKS, 2'),
    ],
)
def test_variables_that_make_no_sense_are_named(environ, message):
    with pytest.raises(UsageError, match=message):
        Share.of_environment(environ)


# With real processes.


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    torch.save({'params': ASID(num_feat=16, num_block=1, upscale=2).state_dict()}, tmp_path / 'asid.pth')
    return tmp_path / 'asid.pth'


def photographs(folder, sizes):
    folder.mkdir()
    for number, (height, width) in enumerate(sizes):
        pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'{number:02}.png'), pixels)
    return folder


def files(folder):
    """The bytes of all files of a folder, with those of folders inside, by name; whatever is hidden counts too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def torchrun(module, *argv):
    """A launcher of two processes, which are real interpreters."""
    environ = {key: value for key, value in os.environ.items() if key != 'OMP_NUM_THREADS'}
    return fresh.Fresh([*TORCHRUN, '-m', module, *argv], env=environ)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_torchrun_with_one_process_killed_goes_on(weights, tmp_path):
    """All files are whole after a kill; with --skip-existing the rest follows, as one process would have made it."""
    folder = photographs(tmp_path / 'in', [(40, 50), (100, 131), *[(120, 120)] * 6])
    out, single = tmp_path / 'out', tmp_path / 'single'
    argv = ('upscale', folder, '-o', out, '--weights', weights, '--skip-existing')
    process = torchrun('asid_plugin', *argv)
    deadline = time.monotonic() + 120
    while not list(out.glob('*.png')) and time.monotonic() < deadline:
        time.sleep(0.01)
    [*workers] = map(int, Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split())
    os.kill(workers[-1], signal.SIGKILL)
    killed = process.communicate()
    begun = files(out)
    assert killed.returncode != 0 and 'Signal 9 (SIGKILL)' in killed.stderr
    assert 1 <= len(list(out.glob('*.png'))) < 8

    done = fresh.together(['-m', 'asid_plugin', *argv])
    err, lines = ''.join(rank.stderr for rank in done), [line for rank in done for line in rank.stdout.splitlines()]
    assert [rank.returncode for rank in done] == [0, 0], err
    assert len(lines) == 8 - len([name for name in begun if '/' not in name]), 'each of the rest was made once'
    assert {line[:8] for line in lines} <= {'[rank 0]', '[rank 1]'}
    assert 'existed and were skipped' in err
    assert helpers.command('upscale')([folder, '-o', single, '--weights', weights]) == 0
    assert files(out).keys() == files(single).keys()
    for path in single.iterdir():  # with other threads, sums are rounded otherwise
        pictures = [cv2.imread(str(folder / path.name)).astype(int) for folder in (out, single)]
        assert np.abs(pictures[0] - pictures[1]).max() <= 1


@pytest.mark.slow
def test_an_image_that_fails_does_not_end_the_other_processes(weights, tmp_path):
    folder = photographs(tmp_path / 'in', [(120, 120)] * 4)
    (folder / 'broken.png').write_bytes((folder / '00.png').read_bytes()[:5000])
    argv = (folder, '-o', tmp_path / 'out', '--weights', weights)
    done = torchrun('asid_plugin.upscale', *argv).communicate()
    lines, err = done.stdout.splitlines(), done.stderr
    assert done.returncode != 0 and 'broken.png' in err and 'is now asid' not in err
    assert len(lines) == 4 and sorted(files(tmp_path / 'out')) == ['00.png', '01.png', '02.png', '03.png']
    assert err.count('shared by 2 processes') == 1


@pytest.mark.slow
def test_the_processes_of_srun_share_as_well(weights, tmp_path):
    folder = photographs(tmp_path / 'in', [(60, 70)] * 5)
    argv = ['-m', 'asid_plugin', 'upscale', folder, '-o', tmp_path / 'out' / 'new', '--weights', weights]
    places = [{'SLURM_PROCID': str(rank), 'SLURM_LOCALID': str(rank), 'SLURM_NTASKS': '2'} for rank in range(2)]
    tasks = [fresh.Fresh(argv, env=os.environ | place) for place in places]
    done = [task.communicate() for task in tasks]
    assert [(task.returncode, len(task.stdout.splitlines())) for task in done] == [(0, 3), (0, 2)], done
    assert len(files(tmp_path / 'out' / 'new')) == 5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_sigterm_leaves_nothing_unfinished(weights, tmp_path):
    folder = photographs(tmp_path / 'in', [(20, 20), (2000, 2000)])
    process = fresh.Fresh(['-m', 'asid_plugin', 'upscale', folder, '-o', tmp_path / 'out', '--weights', weights])
    deadline = time.monotonic() + 60
    while not (tmp_path / 'out' / '00.png').exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGTERM)
    done = process.communicate()
    assert done.returncode == 130 and done.stderr.splitlines()[-1] == 'interrupted; all written files are complete'
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['00.png']

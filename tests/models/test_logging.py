"""`logger`: what BasicSR writes for TensorBoard, and hands to Weights & Biases, in trainings of ours."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import forked
from asid_plugin.version import __version__

ROOT = Path(__file__).parents[2]


def train(options: dict[str, Any], folder: Path) -> str:
    """Train by `asid train` in a folder, without a network; returns the log."""
    (folder / 'tiny.yml').write_text(yaml.safe_dump(options))
    code = f'import sys; sys.path[:0] = [{str(ROOT)!r}]; from asid_plugin.commands.main import main; sys.exit(main())'
    offline = f'import os; os.environ["WANDB_MODE"] = "offline"; os.environ["WANDB_DIR"] = {str(folder)!r}; '
    done = subprocess.run(
        [sys.executable, '-c', offline + code, 'train', 'tiny.yml'],
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


@pytest.fixture
def short(options: dict[str, Any]) -> dict[str, Any]:
    """A training of two iterations with one validation."""
    options['train']['total_iter'] = 2
    options['val']['val_freq'] = 2
    options['logger']['use_tb_logger'] = True
    return options


@pytest.mark.slow
def test_tensorboard_has_losses_and_metrics(short: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip('tensorboard', reason='pip install tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(short, tmp_path)
    events = EventAccumulator(str(tmp_path / 'tb_logger/tiny'))
    events.Reload()
    assert {'losses/l_pix', 'metrics/val/psnr', 'metrics/val/ssim'} <= set(events.Tags()['scalars'])
    assert [event.step for event in events.Scalars('losses/l_pix')] == [1, 2]
    assert 15 < events.Scalars('metrics/val/psnr')[0].value < 40


@pytest.mark.slow
def test_wandb_keeps_a_run_offline(short: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip('tensorboard', reason='pip install tensorboard')
    pytest.importorskip('wandb', reason='pip install wandb')
    short['logger']['wandb'] = {'project': 'asid'}
    log = train(short, tmp_path)
    assert 'Use wandb logger with id=' in log
    [run] = (tmp_path / 'wandb').glob('offline-run-*')
    [record] = run.glob('*.wandb')
    assert b'losses/l_pix' in record.read_bytes()


def test_the_screen_has_a_summary_and_the_file_everything(short: dict[str, Any], tmp_path: Path) -> None:
    short['val']['at_start'] = True
    (tmp_path / 'tiny.yml').write_text(yaml.safe_dump(short))
    done = forked.run(['-m', 'asid_plugin', 'train', 'tiny.yml'], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    screen = done.stderr.splitlines()
    first = next(i for i, line in enumerate(screen) if '[epoch:' in line)
    assert first < 40
    trained = next(line for line in screen if f'asid_plugin {__version__} trains ASID x2, ' in line)
    assert trained.endswith(' parameters, from random weights')
    assert [line.rpartition('/')[2] for line in screen[:first] if 'results, and a log with' in line] == ['tiny']
    before = [i for i, line in enumerate(screen) if 'Validation val' in line]
    assert len(before) == 3 and before[0] < first, 'before the first iteration, at the second, and at the end'
    [log] = (tmp_path / 'experiments' / 'tiny').glob('train_tiny_*.log')
    written = log.read_text()
    assert 'conv_after_body' in written and 'batch_size_per_gpu' in written
    assert 'conv_after_body' not in done.stderr and 'batch_size_per_gpu' not in done.stderr

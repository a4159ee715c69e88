"""`logger`: what BasicSR writes for TensorBoard, and hands to Weights & Biases, in trainings of ours."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml

import forked
import fresh
from asid_plugin.version import __version__

ROOT = Path(__file__).parents[2]


def train(options: dict[str, Any], folder: Path, *arguments: str) -> str:
    """Train by `asid train` in a folder, without a network; returns the log."""
    (folder / 'tiny.yml').write_text(yaml.safe_dump(options))
    code = f'import sys; sys.path[:0] = [{str(ROOT)!r}]; from asid_plugin.commands.main import main; sys.exit(main())'
    offline = f'import os; os.environ["WANDB_MODE"] = "offline"; os.environ["WANDB_DIR"] = {str(folder)!r}; '
    done = fresh.run(['-c', offline + code, 'train', 'tiny.yml', *arguments], folder)
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


def wandb_records(run: Path) -> list[Any]:
    """Read the records of an offline run: wandb has their protobuf, and no reader of the file, LevelDB's log, any more.

    After 7 bytes of wandb's own there are blocks of 32 KiB of chunks: a checksum, a length, a kind, the bytes. A record
    is one chunk, of kind 1, or several, the last of kind 4.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    [file] = run.glob('*.wandb')
    data, at, record, records = file.read_bytes(), 7, b'', []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack_from('<IHB', data, at)
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            records.append(Record.FromString(record))
            record = b''
    return records


def wandb_history(run: Path) -> list[dict[str, float]]:
    """Read the rows that wandb would plot, with BasicSR's iteration as `global_step`."""
    rows = [record.history.item for record in wandb_records(run) if record.HasField('history')]
    return [{item.nested_key[0]: json.loads(item.value_json) for item in row} for row in rows]


@pytest.mark.slow
def test_wandb_keeps_a_run_and_its_continuation_offline(short: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip('tensorboard', reason='pip install tensorboard')
    pytest.importorskip('wandb', reason='pip install wandb')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    short['logger'].update(save_checkpoint_freq=2, wandb={'project': 'asid'})
    log = train(short, tmp_path)
    [run] = (tmp_path / 'wandb').glob('offline-run-*')
    identity = run.name.rpartition('-')[2]
    assert f'Use wandb logger with id={identity}; project=asid.' in log
    events = EventAccumulator(str(tmp_path / 'tb_logger/tiny'))
    events.Reload()
    history = wandb_history(run)
    assert [row['global_step'] for row in history] == [1, 2]
    assert [row['losses/l_pix'] for row in history] == pytest.approx(
        [event.value for event in events.Scalars('losses/l_pix')], rel=1e-6
    )
    for metric in ('metrics/val/psnr', 'metrics/val/ssim'):
        assert history[1][metric] == pytest.approx(events.Scalars(metric)[0].value, rel=1e-6)
    [start] = [record.run for record in wandb_records(run) if record.HasField('run')]
    options = {item.key: json.loads(item.value_json) for item in start.config.update}
    assert (start.project, start.display_name) == ('asid', 'tiny')
    assert options['network_g']['num_feat'] == short['network_g']['num_feat']

    short['train']['total_iter'] = 4
    short['val']['val_freq'] = 4
    short['logger']['wandb']['resume_id'] = identity
    log = train(short, tmp_path, '--auto_resume')
    assert f'Resume wandb logger with id={identity}.' in log
    [continuation] = set((tmp_path / 'wandb').glob(f'offline-run-*-{identity}')) - {run}
    history = wandb_history(continuation)
    assert [row['global_step'] for row in history] == [3, 4]
    assert all('losses/l_pix' in row for row in history) and 'metrics/val/psnr' in history[1]


@pytest.mark.slow
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

"""Benchmark sets that are not there."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import forked
from asid_plugin.options.absent import absent_benchmarks, leave_out


def sets(folder: Path, *names: str) -> dict[str, Any]:
    """Options of test sets in a folder, by names as in option files."""
    return {
        f'test_{i}': {'name': name, 'dataroot_gt': str(folder / name / 'GT'), 'dataroot_lq': str(folder / name / 'LQ')}
        for i, name in enumerate(names)
    }


def test_absent_sets_of_the_paper_are_left_out(tmp_path: Path) -> None:
    for there in ('Set5/GT', 'Set5/LQ', 'Set14/LQ'):
        (tmp_path / there).mkdir(parents=True)
    opt = {'is_train': False, 'datasets': sets(tmp_path, 'Set5', 'Set14', 'B100', 'Urban100', 'mine')}
    absent = absent_benchmarks(opt, [('datasets', 'test_3', 'dataroot_gt'), ('name',)])
    assert list(map(str, absent)) == [f'datasets: test_2: B100 is left out: no folder {tmp_path}/B100/GT'], (
        'of Set14 one folder is there, Urban100 is on the command line, mine is no set of the paper'
    )
    leave_out(opt, absent)
    assert list(opt['datasets']) == ['test_0', 'test_1', 'test_3', 'test_4']


def test_a_test_of_absent_sets_alone_keeps_them(tmp_path: Path) -> None:
    opt = {'is_train': False, 'datasets': sets(tmp_path, 'Set5', 'B100')}
    leave_out(opt, absent_benchmarks(opt))
    assert len(opt['datasets']) == 2


@pytest.mark.slow
def test_a_training_without_its_benchmark_is_not_validated(options: dict[str, Any], tmp_path: Path) -> None:
    options['datasets']['val'] |= {
        'name': 'Set5',
        'dataroot_gt': 'datasets/Set5/GTmod2',
        'dataroot_lq': 'datasets/Set5/LRbicx2',
    }
    (tmp_path / 'tiny.yml').write_text(yaml.safe_dump(options))
    done = forked.run(['-m', 'asid_plugin', 'train', 'tiny.yml'], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'tiny.yml: datasets: val: Set5 is left out: no folder datasets/Set5/GTmod2' in done.stderr.splitlines()
    assert 'Validation' not in done.stderr and (tmp_path / 'experiments/tiny/models/net_g_latest.pth').is_file()

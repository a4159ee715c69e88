"""The plan of the paper's trainings: its rows, their progress, the command to continue, and their cost."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from asid_plugin.options.checks import check_structure
from asid_plugin.paper import planned, rates, slurm
from asid_plugin.paper.planned import LATEST, read_plan
from asid_plugin.paper.rates import Rates, Workload
from asid_plugin.paper.trainings import PARTS, TRAININGS, trainings_for
from asid_plugin.published.reported import read_table
from asid_plugin.published.variants import TABLE1, TABLE2, TABLE3, TABLE4, channel_splits, depths, find, reported_in
from helpers import command, held_elsewhere, write_pairs

main = command('paper', 'plan')
ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ROOT / 'options'
BASELINE = 'ablation/train_Baseline_x2.yml'


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[planned.Planned]]:
    """The plan of some parts in an empty folder; afterwards nothing is in `experiments` but what a test puts there."""
    monkeypatch.chdir(tmp_path)
    return lambda *parts, **keywords: read_plan(parts, OPTIONS, **keywords)


def trained(name: str, file: str, *, state: int = 0, latest: bool = False, cmd: str = '', change: tuple = ()) -> Path:
    """An experiment as BasicSR leaves it: the copy of the option file, and empty files for states and weights."""
    folder = Path('experiments', name)
    for part in ('models', 'training_states'):
        (folder / part).mkdir(parents=True, exist_ok=True)
    text = (OPTIONS / file).read_text(encoding='utf-8')
    if change:
        assert change[0] in text
        text = text.replace(*change)
    copy = folder / Path(file).name
    copy.write_text(f'# GENERATE TIME: today\n# CMD:\n# asid train -opt {file} {cmd}\n\n{text}', encoding='utf-8')
    for number in {min(5_000, state), state} - {0}:
        (folder / 'training_states' / f'{number}.state').touch()
    if latest:
        (folder / 'models' / LATEST).touch()
    return folder


# the rows


@pytest.mark.parametrize('training', TRAININGS, ids=lambda training: training.file)
def test_an_option_file_is_the_one_that_the_row_tells_of(training: object) -> None:
    opt = yaml.safe_load((OPTIONS / training.file).read_text(encoding='utf-8'))
    opt['datasets']['train']['phase'] = 'train'
    assert list(check_structure({**opt, 'is_train': True})) == []
    assert opt['name'] == Path(training.file).stem
    assert opt['train']['total_iter'] == training.iterations
    assert find(opt['network_g']) is not None and opt['network_g']['upscale'] == opt['scale']
    begins = opt['path']['pretrain_network_g']
    assert begins == (f'experiments/{Path(training.after).stem}/models/{LATEST}' if training.after else None)
    assert opt['datasets']['train']['gt_size'] == 64 * opt['scale']
    assert opt['datasets']['train']['batch_size_per_gpu'] == 16


def test_every_row_of_the_papers_tables_has_its_training() -> None:
    """Tables 1, 3, 4 and the supplement's list them; Figures 7 and 1 of the supplement draw values of an argument."""
    found: dict[str, set] = {part: set() for part in PARTS}
    for training in TRAININGS:
        network_g = yaml.safe_load((OPTIONS / training.file).read_text(encoding='utf-8'))['network_g']
        for part in training.parts:
            found[part].add((find(network_g).name, network_g['upscale']))

    def rows(table: str) -> set[tuple[str, int]]:
        names = {name: variant.name for name, variant in reported_in(table).items()}
        column = {TABLE3: 'variant', TABLE4: 'sharing'}.get(table, 'method')
        scale = {TABLE1: None, TABLE2: 4}.get(table, 2)
        named = [(row[column], scale or int(row['scale'])) for row in read_table(table)]
        return {(names[name], k) for name, k in named if name in names}

    assert found['table1'] == rows(TABLE1) and len(rows(TABLE1)) == 6
    assert found['table2'] == rows(TABLE2) and len(rows(TABLE2)) == 2
    assert found['table3'] == rows(TABLE3) and len(rows(TABLE3)) == len(read_table(TABLE3)) == 5
    assert found['table4'] == rows(TABLE4) and len(rows(TABLE4)) == len(read_table(TABLE4)) == 2
    assert found['figure1'] == {(name, k) for name, k in rows(TABLE1) if k == 2}
    assert found['figure7'] == {(variant.name, 2) for variant in depths().values()}
    assert found['supplement-figure1'] == {(variant.name, 2) for variant in channel_splits().values()}
    realsr = read_table('supplement_table1_realsr')
    assert found['supplement-table1'] == {(r['method'], int(r['scale'])) for r in realsr if r['method'] == 'ASID'}


def test_the_ablations_are_trained_for_200_epochs_and_the_tables_for_1000() -> None:
    epoch = 800 * 64 // 16
    for training in TRAININGS:
        if not training.after:
            full = not {'table1', 'figure1'}.isdisjoint(training.parts)
            assert training.iterations == epoch * (1000 if full else 200)


def test_a_training_stands_behind_the_one_it_begins_after_and_brings_it_along() -> None:
    files = [training.file for training in TRAININGS]
    assert len(set(files)) == len(files)
    assert all(files.index(t.after) < files.index(t.file) for t in TRAININGS if t.after)
    chosen = [training.file for training in trainings_for(('supplement-table1',))]
    assert chosen == ['train_ASID_x3.yml', 'train_ASID_x4.yml', *(f for f in files if f.startswith('realsr'))]
    assert trainings_for(()) == TRAININGS


# how far they are


def test_nothing_is_done_in_an_empty_folder(plan: Callable) -> None:
    everything = plan()
    assert [(p.iteration, p.finished, p.running, p.fault) for p in everything] == [(0, False, False, '')] * 24
    assert [p.name for p in everything if not p.is_open] == ['train_ASID_RealSR_x3', 'train_ASID_RealSR_x4']


@pytest.mark.parametrize(
    ('state', 'latest', 'expected'),
    [
        (0, False, (0, False)),
        (635_000, False, (635_000, False)),
        (640_000, False, (640_000, False)),  # the last weights are still to be written
        (640_000, True, (640_000, True)),
        (0, True, (640_000, True)),  # the states were removed
        (15_000, True, (15_000, False)),  # the last weights are from a shorter training, which continues
    ],
)
def test_states_and_last_weights_tell_how_far_a_training_is(
    plan: Callable, state: int, latest: bool, expected: tuple
) -> None:
    trained('train_Baseline_x2', BASELINE, state=state, latest=latest)
    baseline = plan('table3')[0]
    assert (baseline.iteration, baseline.finished, baseline.fault) == (*expected, '')


@pytest.mark.parametrize(
    ('cmd', 'change', 'fault'),
    [
        ('', (), ''),
        ('--force_yml datasets:train:batch_size_per_gpu=4 --launcher pytorch', (), ''),
        (
            '--auto_resume --force_yml train:total_iter=1000 name=train_Baseline_x2',
            (),
            'total_iter: 1000, but the plan has',
        ),
        ('--force_yml train:scheduler:milestones=[10, 20]', (), r'scheduler: .*\[10, 20\]'),
        ('', ('num_block: 3', 'num_block: 4'), "network_g: .*'num_block': 4"),
        ('', ('lr: 5.0e-4', 'lr: 1.0e-4'), 'lr: 0.0001, but the plan has 0.0005'),
        ('', ('network_g:', 'network_g: ['), r'train_Baseline_x2\.yml cannot be read'),
    ],
)
def test_an_experiment_of_other_options_is_none_of_the_plan(
    plan: Callable, cmd: str, change: tuple, fault: str
) -> None:
    trained('train_Baseline_x2', BASELINE, state=10_000, cmd=cmd, change=change)
    baseline = plan('table3')[0]
    assert baseline.is_open == (fault == '')
    if fault:
        assert re.search(fault, baseline.fault) and str(Path('experiments', 'train_Baseline_x2')) in baseline.fault
    else:
        assert baseline.fault == ''


def test_an_experiment_of_another_option_file_is_none_of_the_plan(
    plan: Callable, capsys: pytest.CaptureFixture
) -> None:
    trained('train_Baseline_x2', 'ablation/train_ID_x2.yml', state=10_000)
    assert 'was trained with train_ID_x2.yml' in plan('table3')[0].fault
    assert main(['table3', '--run', '--options', OPTIONS]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith('error: experiments')
    assert main(['table3', '--next', '--options', OPTIONS]) == 0
    assert 'train_ID_x2.yml' in capsys.readouterr().out  # the next one


def test_a_training_that_runs_is_left_alone(plan: Callable, capsys: pytest.CaptureFixture) -> None:
    trained('train_IntraGroup_x2', 'ablation/train_IntraGroup_x2.yml', state=10_000)
    lock = planned.lock_beside(Path('experiments', 'train_IntraGroup_x2'))
    with held_elsewhere(lock) as process:
        process_holds(lock, process.pid)
        assert [p.running for p in plan('table4')] == [False, True]
        main(['table4', '--next', '--options', OPTIONS])
        assert 'train_ID_AS_CS_x2.yml' in capsys.readouterr().out
        assert len(slurm.levels(plan('table4'))[0]) == 1
    main(['table4', '--next', '--options', OPTIONS])
    assert 'train_IntraGroup_x2.yml' in capsys.readouterr().out  # begun, and now free


def process_holds(lock: Path, process: int) -> None:
    assert json.loads(lock.with_name(f'{lock.name}.holder').read_text())['process'] == process


# the command to type now


def test_next_resumes_before_it_begins_and_waits_for_what_is_needed(
    plan: Callable, capsys: pytest.CaptureFixture
) -> None:
    def following(*parts: str) -> str:
        status = main([*parts, '--next', '--options', OPTIONS])
        out, err = capsys.readouterr()
        return out.strip() if status == 0 else err.splitlines()[-1]

    assert following() == f'asid train {OPTIONS.as_posix()}/train_ASID_x2.yml --auto_resume'
    trained('train_N4_x2', 'ablation/train_N4_x2.yml', state=5_000)
    assert following() == f'asid train {OPTIONS.as_posix()}/ablation/train_N4_x2.yml --auto_resume'
    assert 'train_ASID_x3.yml' in following('supplement-table1')
    for scale in (3, 4):
        trained(f'train_ASID_x{scale}', f'train_ASID_x{scale}.yml', latest=True)
    assert 'realsr/train_ASID_RealSR_x3.yml' in following('supplement-table1')
    for scale in (3, 4):
        trained(f'train_ASID_RealSR_x{scale}', f'realsr/train_ASID_RealSR_x{scale}.yml', latest=True)
    assert following('supplement-table1') == 'error: nothing to do: all 4 trainings are done'


def test_a_small_budget_has_experiments_of_its_own(plan: Callable) -> None:
    trained('train_ASID_x3', 'train_ASID_x3.yml', latest=True)
    small = {p.file.name: p for p in plan('supplement-table1', iterations=20)}
    assert not any(p.finished or p.fault for p in small.values()) and {p.total for p in small.values()} == {20}
    fine_tuned = small['train_ASID_RealSR_x3.yml']
    assert fine_tuned.name == 'train_ASID_RealSR_x3_20_iterations'
    assert fine_tuned.opt['path']['pretrain_network_g'] == f'experiments/train_ASID_x3_20_iterations/models/{LATEST}'
    words = shlex.split(fine_tuned.command)
    assert words[:4] == ['asid', 'train', fine_tuned.file.as_posix(), '--auto_resume']
    assert {'train:total_iter=20', f'name={fine_tuned.name}', 'logger:save_checkpoint_freq=5'} < set(words)


# running


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let a program in bash run in place of `asid train`; its arguments are `-m asid_plugin train FILE ...`."""
    Path('python').write_text(f'#!/bin/bash\n{code}\n')
    Path('python').chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(Path('python').absolute()))


@contextmanager
def interrupted(number: signal.Signals, *files: Path) -> Iterator[None]:
    """Send this process a signal as soon as a file is there that the block brings about, and the next at the next."""
    over = threading.Event()

    def interrupt() -> None:
        for file in files:
            while not file.exists() and not over.wait(0.01):
                pass
            if not over.wait(0.1):  # by then `subprocess` has returned
                os.kill(os.getpid(), number)

    with ThreadPoolExecutor() as executor:
        executor.submit(interrupt)
        try:
            yield
        finally:
            over.set()


@pytest.mark.skipif(sys.platform == 'win32', reason='bash')
def test_trainings_run_one_after_another_until_one_fails(
    plan: Callable, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    trained('train_ID_x2', 'ablation/train_ID_x2.yml', latest=True)
    stand_in(monkeypatch, 'echo "${@:4}" >> ran; [[ $4 != */train_ID_CS_x2.yml ]] || exit 3')
    assert main(['table3', '--run', '--options', OPTIONS]) == 2
    names = ('Baseline', 'ID_AS', 'ID_CS')
    expected = [f'{OPTIONS.as_posix()}/ablation/train_{name}_x2.yml --auto_resume' for name in names]
    assert Path('ran').read_text().splitlines() == expected
    told = [line.partition(':')[0] for line in capfd.readouterr().err.splitlines()]
    assert told == [*(f'training {number} of 5' for number in (1, 3, 4)), 'error']


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_a_second_interruption_leaves_no_training_behind(plan: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "trap 'touch asked' TERM; echo $$ > begun; until false; do sleep 0.05; done")

    with interrupted(signal.SIGINT, Path('begun'), Path('asked')):
        assert main(['table4', '--run', '--options', OPTIONS]) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path('begun').read_text()), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_the_plan_of_a_table_is_interrupted_and_goes_on(
    plan: Callable, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    """By SIGTERM, which no process below gets but from the command; Ctrl-C takes the same way."""
    data = {'train': write_pairs(tmp_path / 'train', 4), 'val': write_pairs(tmp_path / 'val', 1)}
    changes = [f'datasets:{name}:{key}={root}' for name, roots in data.items() for key, root in roots.items()]
    changes += ['datasets:train:io_backend:type=disk', 'datasets:train:gt_size=16', 'logger:use_tb_logger=false']
    changes += ['datasets:train:batch_size_per_gpu=1', 'datasets:train:num_worker_per_gpu=0']
    changes += ['datasets:train:persistent_workers=false']
    words = ['table4', '--run', '--options', str(OPTIONS), '--iterations', '40', '--force_yml', *changes]
    done, mine = (f'train_{name}_x2_40_iterations' for name in ('ID_AS_CS', 'IntraGroup'))
    trained(
        done,
        'ablation/train_ID_AS_CS_x2.yml',
        latest=True,
        cmd=f'--force_yml name={done} train:total_iter=40 datasets:train:gt_size=16',
    )
    folder = Path('experiments', mine)
    with interrupted(signal.SIGTERM, folder / 'training_states' / '10.state'):
        assert main(words) == 130
    told = capfd.readouterr().err.splitlines()
    assert told[-1] == 'interrupted; run the same command to continue' and told[0].startswith(
        'training 2 of 2: asid train'
    )
    assert not any('Traceback' in line for line in told)
    assert [0 < p.iteration < 40 for p in plan('table4', iterations=40, forced=changes)] == [False, True]

    assert main(words) == 0
    assert all(p.finished for p in plan('table4', iterations=40, forced=changes))
    assert {path.name for path in Path('experiments').iterdir() if path.is_dir()} == {done, mine}
    logs = sorted(folder.glob('train_*.log'), key=os.path.getmtime)
    assert len(logs) == 2 and re.search(r'Resuming training from epoch: \d+, iter: [123]0\b', logs[1].read_text())
    capfd.readouterr()
    assert main(words) == 0 and capfd.readouterr() == ('', '')  # nothing is left


@pytest.mark.slow
def test_missing_data_are_named_as_asid_train_does(plan: Callable, capfd: pytest.CaptureFixture) -> None:
    assert main(['table4', '--next', '--options', OPTIONS]) == 0
    named = capfd.readouterr().err.splitlines()
    assert main(['table4', '--run', '--options', OPTIONS]) == 2
    error = capfd.readouterr().err.splitlines()
    trains = [line for line in error if ': datasets: ' in line]
    assert named == trains and len(named) == 2 and 'asid prepare div2k' in named[0]
    assert error[-1] == 'error: training 1 of 2, train_ID_AS_CS_x2, ended with exit status 2'
    assert not Path('experiments', 'train_ID_AS_CS_x2').exists()


# SLURM


@pytest.mark.skipif(shutil.which('bash') is None, reason='needs bash')
def test_job_arrays_train_each_once_in_the_right_order(plan: Callable, capsys: pytest.CaptureFixture) -> None:
    """The scripts run in a real bash; SLURM's programs are stand-ins that write down what they are asked."""
    trained('train_N5_x2', 'ablation/train_N5_x2.yml', latest=True)
    folder = Path('my jobs')
    assert main(['--slurm', folder, '--options', OPTIONS]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("bash '")
    scripts = sorted(path.name for path in folder.iterdir())
    assert scripts == ['level_1.sh', 'level_2.sh', 'submit.sh']
    programs = {
        'sbatch': 'printf "%s\\n" "$*" >> asked; echo "7$(wc -l < asked);cluster"',
        'srun': '[[ $1 == --cpus-per-task=8 ]] || exit 9; shift; printf "%s\\n" "$*" >> trained; exit ${STATUS:-0}',
    }
    Path('bin').mkdir()
    for name, code in programs.items():
        Path('bin', name).write_text(f'#!/bin/bash\n{code}\n')
        Path('bin', name).chmod(0o755)
    path = f'{Path.cwd() / "bin"}{os.pathsep}{os.environ["PATH"]}'
    env = {**os.environ, 'PATH': path, 'SLURM_CPUS_PER_TASK': '8'}

    def bash(*words: object, **further: str) -> int:
        return subprocess.run(['bash', *map(str, words)], env=env | further, capture_output=True).returncode

    assert all(bash('-n', folder / name) == 0 for name in scripts)
    assert bash(folder / 'submit.sh', '--partition=gpu') == 0
    first, second = Path('asked').read_text().splitlines()
    assert first.endswith('level_1.sh') and '--partition=gpu' in first and 'dependency' not in first
    assert '--dependency=afterok:71_1:71_2 ' in second  # ASID x3 and x4
    tasks = {1: 21, 2: 2}
    for level, number in tasks.items():
        script = folder / f'level_{level}.sh'
        assert f'#SBATCH --array=0-{number - 1}\n' in script.read_text()
        assert all(bash(script, SLURM_ARRAY_TASK_ID=str(i)) == 0 for i in range(number))
        assert bash(script, SLURM_ARRAY_TASK_ID=str(number)) == 2
    commands = Path('trained').read_text().splitlines()
    assert commands == [p.command for level in slurm.levels(plan()) for p in level]
    assert len(set(commands)) == 23 and all(line.endswith('--auto_resume') for line in commands)
    assert bash(folder / 'level_1.sh', SLURM_ARRAY_TASK_ID='0', STATUS='3') == 3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='signals of SLURM')
@pytest.mark.parametrize('ends', ['long after', 'at the signal'])
def test_a_task_whose_time_is_up_goes_back_into_the_queue(plan: Callable, ends: str) -> None:
    """Its exit status is the training's own, whether this ends while the signal is dealt with or later."""
    slurm.write(plan('table4'), Path('jobs'))
    Path('bin').mkdir()
    until = 'until [[ -e %s ]]; do sleep 0.01; done; sleep 0.2'
    first, then = ('asked', 'signalled') if ends == 'long after' else ('signalled', 'result')
    programs = {
        'srun': f'touch begun; {until % first}; echo trained > result; exit 5',
        'scontrol': f'touch signalled; {until % then}; echo "$*" > asked',
    }
    for name, code in programs.items():
        Path('bin', name).write_text(f'#!/bin/bash\n{code}\n')
        Path('bin', name).chmod(0o755)
    ids = {'SLURM_ARRAY_TASK_ID': '1', 'SLURM_ARRAY_JOB_ID': '70', 'SLURM_CPUS_PER_TASK': '8'}
    env = {**os.environ, **ids, 'PATH': f'{Path.cwd() / "bin"}{os.pathsep}{os.environ["PATH"]}'}
    with subprocess.Popen(['bash', 'jobs/level_1.sh'], env=env) as process:
        while not Path('begun').exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGUSR1)
        assert process.wait(20) == 5
    assert Path('asked').read_text() == 'requeue 70_1\n' and Path('result').exists()


def test_scripts_of_further_levels_are_removed(plan: Callable) -> None:
    slurm.write(plan('supplement-table1'), Path('jobs'))
    Path('jobs', 'level_of_mine.sh').touch()
    assert {path.name for path in Path('jobs').glob('level_[0-9]*')} == {'level_1.sh', 'level_2.sh'}
    slurm.write(plan('table3'), Path('jobs'))
    assert {path.name for path in Path('jobs').iterdir()} == {'level_1.sh', 'level_of_mine.sh', 'submit.sh'}


# the price


def test_trainings_of_the_same_network_have_one_rate(plan: Callable) -> None:
    keys: dict[str, list[str]] = {}
    for p in plan():
        keys.setdefault(p.workload.key, []).append(p.name)
    shared = [names for names in keys.values() if len(names) > 1]
    assert shared == [
        ['train_ASID_x2', 'train_ID_AS_CS_x2'],
        ['train_ASID_x3', 'train_ASID_RealSR_x3'],
        ['train_ASID_x4', 'train_ASID_RealSR_x4'],
        ['train_ASID_D8_x2', 'train_N8_x2'],
    ]
    assert len(keys) == 20


@pytest.mark.parametrize(
    'change',
    [
        {'tf32': True},
        {'optim_g': {'type': 'AdamW', 'lr': 5e-4, 'weight_decay': 1e-4, 'betas': [0.9, 0.999]}},  # not fused
        {'fft_opt': {'type': 'FFTLoss', 'loss_weight': 0.05}},
        {'distill_opt': {'type': 'L1Loss'}, 'teacher': 'mine.pth'},
        {'pixel_opt': {'type': 'WideCharbonnierLoss'}},
    ],
    ids=lambda change: '-'.join(change),
)
def test_the_step_that_is_measured_is_the_recipes(plan: Callable, change: dict) -> None:
    recipe = plan('table4')[0].opt
    other = {**recipe, 'train': {**recipe['train'], **change}}
    assert Workload.of(recipe).key != Workload.of(other).key
    for opt in (recipe, other):
        train, measured = opt['train'], Workload.of(opt).options('cpu', 'folder')['train']
        assert measured['optim_g'] == {**train['optim_g'], 'lr': 1e-5}
        unlike = {'optim_g', 'scheduler', 'total_iter', 'warmup_iter'}
        assert {k: measured[k] for k in measured.keys() - unlike} == {k: train[k] for k in train.keys() - unlike}
    slower = {**recipe['train'], 'optim_g': {**recipe['train']['optim_g'], 'lr': 1}, 'warmup_iter': 5}
    assert Workload.of({**recipe, 'train': slower}) == Workload.of(recipe)


def test_hours_are_iterations_left_times_the_rate(
    plan: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained('train_ID_AS_CS_x2', 'ablation/train_ID_AS_CS_x2.yml', state=160_000)
    kept = Rates(Path('kept'), 'cpu')
    kept._add(plan('table4')[0].workload.key, 0.9)
    arguments = ['table4', '--options', OPTIONS, '--device', 'cpu', '-o', 'kept']
    assert main([*arguments, '--no-measure', '--json']) == 0
    found = json.loads(capsys.readouterr().out)
    asid, intra = found['trainings']
    assert (asid['iteration'], asid['state'], asid['hours_left']) == (160_000, 'begun', 480_000 * 0.9 / 3600)
    assert (intra['hours_left'], found['hours_left'], found['device']) == (None, None, kept.where)

    monkeypatch.setattr(rates, '_steps', lambda workload, device: iter([(9.0, 9.0), (2, 2), (1, 1), (3, 3)]))
    monkeypatch.setattr(rates, 'BUSY', 2)  # more than there is
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert 'the CPU was busy with other work' in err
    cells = [cell.strip() for cell in out.splitlines()[3].split('|')]
    assert cells[2:8] == ['IntraGroup x2', 'table4', '640,000', '–', '2', '356']
    assert out.splitlines()[2].split('|')[5:8] == [' 25.0 % ', ' 0.9            ', ' 120        ']
    assert '1,120,000 iterations left: 476 hours (20 days) on one ' in out
    monkeypatch.setattr(rates, '_steps', None)  # measured once
    assert main(arguments) == 0 and capsys.readouterr().out == out
    assert Rates(Path('kept'), 'cpu').known().keys() == {p.workload.key for p in plan('table4')}


@pytest.mark.slow
def test_a_step_is_measured_in_a_process_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    pixel_opt = {'pixel_opt': {'type': 'L1Loss'}}
    small = {'type': 'ASID', 'num_feat': 16, 'num_block': 1, 'upscale': 2}
    workload = Workload(small, 4, 32, {'optim_g': {'type': 'SGD'}, **pixel_opt, 'accumulate': 2, 'amp': 'bf16'})
    with pytest.raises(rates.RateError, match='x4096, .*: not enough memory for its batch'):
        Rates(tmp_path, 'cpu').measure([workload, Workload(small, 10**7, 4096, workload.settings)])
    found = Rates(tmp_path, 'cpu').known()
    assert found.keys() == {workload.key} and 0 < found[workload.key] < 60
    assert capfd.readouterr().out == ''  # BasicSR would describe the network


@pytest.mark.slow
def test_a_measurement_that_is_broken_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    small = {'type': 'ASID', 'num_feat': 16, 'num_block': 1, 'upscale': 2}
    settings = {'optim_g': {'type': 'AdamW', 'fused': True}, 'pixel_opt': {'type': 'L1Loss'}}
    steps = rates._steps(Workload(small, 1, 16, settings), 'cpu')
    next(steps)
    assert [path.name.partition('_')[0] for path in tmp_path.iterdir()] == ['asid']
    steps.close()
    assert list(tmp_path.iterdir()) == []


# mistakes


def test_mistakes_end_in_a_line(plan: Callable, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def error(*arguments: object) -> str:
        assert main(arguments) == 2
        return capsys.readouterr().err.splitlines()[-1]

    here = ('--options', OPTIONS, '--no-measure')
    assert error('tabel3', *here) == 'error: tabel3: not a table or figure with trainings; did you mean table3?'
    assert 'known are table1, figure1' in error('x', *here)
    assert '--iterations 0: should be at least 1' in error('--iterations', 0, *here)
    assert '--force_yml name=mine: each training has its name' in error(*here, '--force_yml', 'name=mine')
    assert 'use --iterations for a smaller number' in error(*here, '--force_yml', 'train:total_iter=5')
    assert '--force_yml: train:x:y=1' in error(*here, '--force_yml', 'train:x:y=1')
    assert re.search(r'no folder options in .*: the option files are in a checkout', error())
    (tmp_path / 'mine').mkdir()
    assert 'train_ASID_x2.yml: missing; --options should name the folder' in error('--options', 'mine')
    (tmp_path / 'mine' / 'train_ASID_x2.yml').write_text('name: train_ASID_x2\n')
    assert "not the option file of a training ('train')" in error('--options', 'mine')
    text = (OPTIONS / 'train_ASID_x2.yml').read_text().replace('total_iter: 3200000', 'total_iter: 1000')
    (tmp_path / 'mine' / 'train_ASID_x2.yml').write_text(text)
    assert "total_iter: 1000, but the paper's training has 3200000" in error('--options', 'mine')
    Path('results/plan').mkdir(parents=True)
    Path('results/plan/rates.json').write_text('[1]')
    assert 'rates.json: not the rates of asid paper plan' in error('table4', *here)


def test_missing_raw_lmdbs_are_those_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained from raw pixels, a recipe needs the LMDBs beside those of PNG files, which it names."""
    monkeypatch.chdir(tmp_path)
    png, raw = (
        planned.missing_data(read_plan(['table4'], OPTIONS, forced=forced))
        for forced in ((), ('datasets:train:type=RawPairedImageDataset',))
    )
    assert any('_sub.lmdb' in line for line in png) and not any('_raw.lmdb' in line for line in png)
    assert any('_sub_raw.lmdb' in line and 'asid prepare div2k --raw' in line for line in raw)

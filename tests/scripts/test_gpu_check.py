"""scripts/gpu_check.sh without a GPU: its parts in small, its report, and its ends."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from marks import wants_gpu
from torch.utils.flop_counter import FlopCounterMode

import gpu_check
from asid_plugin.archs import ASID
from asid_plugin.cost.complexity import multiply_adds
from asid_plugin.cost.timing import passes_of
from asid_plugin.models.sent_losses import SentLosses
from gpu_checks import PARTS, Part, networks
from gpu_checks.images import large
from gpu_checks.networks import AT_ONCE, PLAIN, warm_up
from gpu_checks.operators import layer_norm, layer_norm_then_weights
from gpu_checks.roofline import traffic, traffic_of_pass
from gpu_checks.setup import Setup
from gpu_checks.steps import event_waits
from measuring import SETTINGS, Subject, profiled

ROOT = Path(__file__).parents[2]
SMALL = ['--device', 'cpu', '--small', '--threads', '1']


def report(folder: Path) -> dict:
    found = json.loads((folder / 'gpu_check.json').read_text())
    assert sorted(path.name for path in folder.iterdir()) == ['gpu_check.json', 'gpu_check.md']
    return {part['name']: part for part in found['parts']}


@pytest.mark.slow
def test_small_parts_on_a_cpu(tmp_path: Path):
    """Parts whose rows are known beforehand; forward goes through processes of its own."""
    names = ['forward', 'operators', 'synchronisations', 'large', 'memory']
    command = ['bash', str(ROOT / 'scripts' / 'gpu_check.sh'), '--out', 'report', *SMALL, '--only', *names]
    env = os.environ | {'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(command, cwd=tmp_path, env=env, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == 'report/gpu_check.md'
    assert re.findall(r'\[\d/5\] (\w+)', done.stderr) == names
    parts = report(tmp_path / 'report')
    assert {name: part['status'] for name, part in parts.items()} == dict.fromkeys(names, 'passed')
    tables = {name: part['tables'] for name, part in parts.items()}
    times, distance = tables['forward']
    assert [row[0] for row in times['rows']] == ['plain ASID', 'ASID', 'ASID (bfloat16)']
    assert [row[0] for row in distance['rows']] == ['ASID', 'ASID (bfloat16)']
    assert all(float(row[1]) > 0 and float(row[2]) > 0 for row in distance['rows'])
    for table in tables['operators']:
        assert len(table['rows']) == 3 * 3 and not table['failures']
    waits = {row[0]: int(row[1]) for row in tables['synchronisations'][0]['rows']}
    assert waits['PyTorch'] == 0 and set(waits) == {'PyTorch', 'ASIDModel, float32', 'ASIDModel, fp16, clipped'}
    assert [row[1] for row in tables['memory'][0]['rows']] == ['0', '1']
    assert 'out of memory at 1500x1500 pixels; try --tile 64' in tables['memory'][0]['rows'][1][2]
    text = (tmp_path / 'report' / 'gpu_check.md').read_text()
    assert all(f'## {PARTS[name].title}' in text for name in names) and '## What failed' not in text


def test_both_ways_of_layer_norm_compute_the_same():
    x, parameters = torch.rand(2, 12, 8, 8), [torch.rand(12), torch.rand(12)]
    torch.testing.assert_close(layer_norm_then_weights(x, parameters), layer_norm(x, parameters))


@pytest.mark.slow
def test_a_part_that_fails_is_recorded_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    chosen = {'broken': Part('Broken', 'nowhere:run', 1), 'large': PARTS['large'], 'tests': PARTS['tests']}
    monkeypatch.setattr(gpu_check, 'PARTS', chosen)
    monkeypatch.setattr(gpu_check, 'lacking', lambda *packages: [name for name in packages if name == 'pytest'])
    assert gpu_check.main(['--out', str(tmp_path), *SMALL]) == 1
    parts = report(tmp_path)
    assert {name: part['status'] for name, part in parts.items()} == {
        'broken': 'failed',
        'large': 'passed',
        'tests': 'skipped',
    }
    assert parts['tests']['note'] == 'not installed: pytest'
    text = (tmp_path / 'gpu_check.md').read_text()
    assert "- broken: KeyError: 'broken'" in text and '| skipped |' in text
    assert 'tests: Tests marked gpu\n    skipped, 0 s; not installed: pytest' in capfd.readouterr().err


@pytest.mark.slow
def test_a_part_is_stopped_when_its_time_is_over(tmp_path: Path):
    assert gpu_check.main(['--out', str(tmp_path), *SMALL, '--only', 'large', '--minutes', '0.001']) == 1
    assert report(tmp_path)['large']['note'].startswith('stopped after 0 s, its share of --minutes')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [(['--only', 'speed'], "invalid choice: 'speed'"), ([], 'sees no GPU; --device cpu --small tests the check')],
)
def test_mistakes(tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit, match='2'):
        gpu_check.main(['--out', str(tmp_path), *arguments])
    assert message in capsys.readouterr().err


def test_help_names_every_part_and_its_packages(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit, match='0'):
        gpu_check.main(['--help'])
    text = capsys.readouterr().out
    assert all(re.search(rf'^ +{name} +{re.escape(part.title)}', text, re.M) for name, part in PARTS.items())
    assert 'needs basicsr, lmdb, skimage' in text


def test_half_a_line_of_a_part_that_was_killed_is_left_out(tmp_path: Path):
    path = tmp_path / 'tables'
    tables = [{'title': 'a', 'rows': []}, {'title': 'b', 'rows': []}, {'title': 'a', 'rows': [['x']]}]
    path.write_text(''.join(json.dumps(table) + '\n' for table in tables) + '{"title": "a", "ro')
    assert gpu_check.tables_in(path) == [tables[2], tables[1]]


def test_both_ways_of_attention_take_the_large_picture():
    *_, table = large(Setup('cpu', small=True, threads=1))
    assert [(row[0], row[3]) for row in table.rows] == [
        ('ASID, float32', 'True'),
        ('OmniSR, one block, float32', 'True'),
    ]


def test_bytes_and_multiply_adds_of_a_product():
    a, b = torch.rand(8, 16), torch.rand(16, 4).half()
    found = traffic(lambda: a.T.T @ b.float())
    moved = [2 * 64 + 4 * 64, 4 * (8 * 16 + 16 * 4 + 8 * 4)]  # the cast, then the product
    assert [operator[0] for operator in found.operators] == moved
    assert found.multiply_adds == 8 * 16 * 4
    assert found.least_seconds(100, 100) == moved[0] / 100 + max(moved[1], 8 * 16 * 4) / 100


def test_multiply_adds_of_a_pass_without_gradients():
    """All of them, as PyTorch counts them with gradients, where oneDNN has no part in it; near those of the paper."""
    net, x = ASID(num_feat=16, num_block=1, upscale=2).eval(), torch.rand(1, 3, 24, 32)
    found = traffic_of_pass(net, x).multiply_adds
    with FlopCounterMode(display=False) as expected:
        net(x)
    assert 2 * found == expected.get_total_flops()
    assert 0.95 < found / multiply_adds(net, 24, 32) < 1, 'value and output projection are one product'


def test_views_and_allocations_move_nothing():
    x = torch.rand(4, 6)
    found = traffic(lambda: (x.T.detach()[1:], x.unfold(0, 2, 2), torch.empty_like(x), x.new_empty(3).resize_(2)))
    assert found.operators == []


def test_an_expanded_tensor_is_read_once():
    found = traffic(lambda: torch.rand(8, 4).add_(torch.rand(4).expand(8, 4)))
    assert found.operators[-1] == (4 * (8 * 4 + 4 + 8 * 4), 0)


def test_waits_for_events_are_counted(monkeypatch: pytest.MonkeyPatch):
    """Those that the device has not reached; nothing else in PyTorch counts them."""

    class Event:
        def __init__(self, reached: bool) -> None:
            self.reached, self.waited = reached, False

        def query(self) -> bool:
            return self.reached

        def synchronize(self) -> None:
            self.waited = True

    monkeypatch.setattr(torch.cuda, 'Event', Event)
    original, events = Event.synchronize, [Event(True), Event(False), Event(False)]
    with event_waits() as places:
        for event in events:
            SentLosses(1, ('l_pix',), torch.zeros(1), event).read()
    assert places.total() == 2 and all(place.startswith('sent_losses.py:') for place in places)
    assert all(event.waited for event in events) and Event.synchronize is original


class Card:
    """A task that notes how many run at once."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.together: list[set[str]] = []

    def task(self, label: str) -> None:
        self.running.append(label)
        time.sleep(0.02)
        self.together.append(set(self.running))
        self.running.remove(label)
        if 'bfloat16' in label:
            raise RuntimeError('out of memory')


def test_networks_warm_up_one_after_another():
    card = Card()

    class Pool(ThreadPoolExecutor):
        def submit(self, function: Callable, /) -> Future:
            return super().submit(function, next(label for label, pool in pools.items() if pool is self))

    chosen = [Subject('ASID', ASID, False, setting) for setting in SETTINGS]
    pools = {subject.label: Pool(1) for subject in chosen}
    errors = warm_up(pools, chosen, card.task)
    assert errors == {label: 'RuntimeError: out of memory' for label in pools if 'bfloat16' in label}
    eager = [labels for labels in card.together if not any('compiled' in label for label in labels)]
    assert eager == [{'ASID'}, {'ASID (TF32)'}, {'ASID (bfloat16)'}]
    assert max(map(len, card.together)) == AT_ONCE
    with pytest.raises(RuntimeError, match='shutdown'):
        pools['ASID (bfloat16)'].submit(card.task)


def test_a_table_of_times_grows_by_rounds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(networks, 'processes', lambda *_: nullcontext({PLAIN: ThreadPoolExecutor(1)}))
    monkeypatch.setattr(Setup, 'repeat', 3)
    tables = networks.timed_tables(
        Setup('cpu', small=True), 'T', [Subject(PLAIN, ASID, False)], [], iter([9.0, 1.0, 3.0, 8.0]).__next__
    )
    assert [table.rows[0][2] for table in tables] == ['1.000 to 1.000', '1.000 to 3.000', '1.000 to 8.000']


def test_shares_of_a_profile_are_of_the_whole():
    found = profiled(torch.nn.Conv2d(3, 3, 3), torch.rand(1, 3, 64, 64), 2)
    assert sum(share for *_, share in found) == pytest.approx(1)
    assert {name: calls for name, calls, _ in found}['aten::convolution'] == 1


@pytest.mark.parametrize(('seconds', 'passes'), [(1e-4, 50), (0.04, 50), (0.1, 20), (3, 1), (0, 50)])
def test_a_round_has_fifty_passes_or_takes_two_seconds(seconds: float, passes: int):
    assert passes_of(seconds) == passes


@pytest.mark.parametrize(
    ('marks', 'wanted'),
    [
        *[(marks, True) for marks in ('gpu', 'gpu and not slow', 'not (not gpu or slow)', 'slow and (gpu)')],
        *[(marks, False) for marks in ('', 'not gpu', 'not  gpu', 'slow', 'not slow', 'gpu and not gpu', 'gpu and')],
        *[(marks, False) for marks in ('not (gpu or slow)', 'slow or gpu', 'gpu or not browser', 'not(gpu)')],
    ],
)
def test_only_an_expression_that_asks_for_the_gpu_shows_it(marks: str, wanted: bool):
    assert wants_gpu(marks) == wanted


def test_no_gpu_is_seen_by_this_test():
    assert not torch.cuda.is_available()
    assert os.environ['CUDA_VISIBLE_DEVICES'] == ''

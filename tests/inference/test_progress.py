"""Lines on how far long work is, and how long it takes."""

import io
import re
import time

import pytest

from asid_plugin.inference import progress as module
from asid_plugin.inference.progress import Progress, counted, duration


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.slow
def test_a_pipe_gets_a_line_every_few_seconds_also_when_nothing_comes(monkeypatch):
    monkeypatch.setattr(module, 'EVERY', 0.2)
    stream = io.StringIO()
    with Progress({'image': 2, 'tile': 4000}, 4000, label='[rank 0] ', stream=stream) as progress:
        progress.add('tile', 1000, 1000)
        time.sleep(0.3)
        progress.add('tile', 1000, 1000)
        progress.add('image')
        time.sleep(0.5)
    lines = stream.getvalue().splitlines()
    assert len(lines) >= 3
    assert lines[0] == '[rank 0] 0 of 2 images, 1,000 of 4,000 tiles'
    assert lines[1] == '[rank 0] 1 of 2 images, 2,000 of 4,000 tiles; about 1 second left'
    time.sleep(0.3)
    assert stream.getvalue().splitlines() == lines, 'it is over'


def test_quick_work_says_nothing():
    for stream in (io.StringIO(), Terminal()):
        with Progress({'image': 1, 'tile': 3}, 3, stream=stream) as progress:
            for _ in range(3):
                progress.add('tile', 1, 1)
        assert stream.getvalue().strip() == ''


def test_time_goes_by_the_work_and_not_by_what_came_before_it():
    progress = Progress({'tile': 10}, 100, quiet=True)
    assert progress.seconds_left() is None
    progress.add('tile', 1, 10)  # the first, which takes longer, is not measured
    assert progress.seconds_left() is None
    start = progress._first[0]
    progress.add('tile', 1, 5)
    assert progress.seconds_left(start + 2) == pytest.approx((100 - 15) * 2 / 5)
    progress.drop('tile', 3, 80)
    assert progress.totals == {'tile': 7}
    assert progress.seconds_left(start + 2) == pytest.approx((100 - 15 - 80) * 2 / 5)


def test_the_whole_is_estimated_once_after_the_first_seconds(monkeypatch):
    monkeypatch.setattr(module, 'MEASURED', 0.1)
    stream = io.StringIO()
    with Progress({'image': 1, 'tile': 30_210}, 30_210, stream=stream) as progress:
        for _ in range(4):
            progress.add('tile', 16, 16)
            time.sleep(0.06)
    [line] = stream.getvalue().splitlines()
    assert re.fullmatch(r'about \d+ (seconds|minutes) left, estimated from the first (48|64) tiles', line)


@pytest.mark.slow
def test_a_terminal_gets_a_bar(monkeypatch):
    stream = Terminal()
    with Progress({'image': 2, 'tile': 40}, 40, stream=stream) as progress:
        progress.add('image')
        time.sleep(1.1)
        progress.add('tile', 20, 20)
        assert '20/40' in stream.getvalue() and '1 of 2 images' in stream.getvalue()


@pytest.mark.parametrize(
    ('seconds', 'said'),
    [
        (0.2, 'about 1 second'),
        (8.3, 'about 8 seconds'),
        (23, 'about 25 seconds'),
        (89, 'about 90 seconds'),
        (100, 'about 2 minutes'),
        (25 * 60, 'about 25 minutes'),
        (5400, 'about 1.5 hours'),
        (80 * 3600, 'about 3.3 days'),
    ],
)
def test_durations_are_said_as_people_say_them(seconds, said):
    assert duration(seconds) == said


def test_numbers_of_things():
    assert [counted(1, 'image'), counted(0, 'tile'), counted(30_210, 'tile')] == ['1 image', '0 tiles', '30,210 tiles']

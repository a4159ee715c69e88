"""Two preparations of one folder."""

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from skimage import data

from asid_plugin.locks import lock_inside
from helpers import command, held_elsewhere


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with photographs, which is also a set to degrade."""
    for folder in ('HR', 'HR/GTmod2', 'HR/LRbicx2'):
        (tmp_path / folder).mkdir()
        for i in range(2):
            cv2.imwrite(str(tmp_path / folder / f'{i}.png'), data.astronaut()[: 96 + i, :96])
    return tmp_path / 'HR'


@pytest.mark.parametrize(
    ('name', 'arguments'),
    [
        ('photos', lambda photos: [photos, '--scales', 2, '--crop-size', 128, '--workers', 1]),
        ('div2k', lambda photos: ['--hr', photos, '--scales', 2, '--crop-size', 96, '--step', 48, '--workers', 1]),
        ('degraded', lambda photos: [photos, '--scale', 2]),
        ('demo', lambda photos: []),
    ],
)
def test_the_second_stops_with_one_line(
    name: str, arguments: Callable, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    """Nothing is written; with the first gone, the same command does its work."""
    out = tmp_path / 'out'
    prepare = [name, *arguments(photos), '-o', out]
    with held_elsewhere(lock_inside(out)) as first:
        assert command('prepare')(prepare) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f'error: {out}: process {first.pid} on ')
        assert line.endswith(', writes there; wait until it ends, or give another folder as -o')
        assert sorted(path.name for path in out.iterdir()) == ['.lock', '.lock.holder']
    if name == 'degraded':  # the quickest
        assert command('prepare')(prepare) == 0
        assert (out / 'clean' / 'GTmod2' / '0.png').is_file()
        assert not (out / '.lock.holder').exists()

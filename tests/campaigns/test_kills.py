"""The short form of the campaigns that kill trainings, in a file of their own, which another process may take."""

from pathlib import Path

import pytest

from .__main__ import run_campaign

KILLS = ('kills', 'mmengine_kills')


@pytest.mark.slow
@pytest.mark.parametrize('name', KILLS)
def test_killed_trainings_end_as_undisturbed(name: str, tmp_path: Path) -> None:
    rows = list(run_campaign(name, tmp_path / name, seed=0, long=False))
    assert rows and all(row.tried for row in rows)
    assert [line for row in rows for line in row.broken] == []

"""The short form of every campaign, but those that kill trainings: `test_kills.py`."""

from pathlib import Path

import pytest

from .__main__ import CAMPAIGNS, run_campaign
from .test_kills import KILLS


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name in CAMPAIGNS if name not in KILLS])
def test_no_promise_is_broken(name: str, tmp_path: Path) -> None:
    rows = list(run_campaign(name, tmp_path / name, seed=0, long=False))
    assert rows and all(row.tried for row in rows)
    assert [line for row in rows for line in row.broken] == []

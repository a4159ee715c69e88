"""The short form of every campaign."""

from pathlib import Path

import pytest

from .__main__ import CAMPAIGNS, run_campaign


@pytest.mark.slow
@pytest.mark.parametrize('name', CAMPAIGNS)
def test_no_promise_is_broken(name: str, tmp_path: Path) -> None:
    rows = list(run_campaign(name, tmp_path / name, seed=0, long=False))
    assert rows and all(row.tried for row in rows)
    assert [line for row in rows for line in row.broken] == []

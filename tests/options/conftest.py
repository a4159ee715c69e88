"""Option files that BasicSR starts with, for the tests of messages."""

import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

import asid_plugin  # noqa: F401  # before basicsr
from helpers import edit

# isort: split
from basicsr import train


@pytest.fixture
def started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Callable[[dict[str, Any]], Callable[..., list[str]]]:
    """A function that takes options, and returns one that edits them, starts BasicSR and returns its error lines."""

    def with_options(written: dict[str, Any]) -> Callable[..., list[str]]:
        def start(edits: dict[str, Any] | None = None) -> list[str]:
            options = deepcopy(written)
            edit(options, edits or {})
            Path('a.yml').write_text(yaml.safe_dump(options))
            monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', 'a.yml'])
            try:
                train.parse_options(str(tmp_path), is_train=True)
            except SystemExit:
                return [line.removeprefix('a.yml: ') for line in capsys.readouterr().err.splitlines()]
            return []

        return start

    return with_options

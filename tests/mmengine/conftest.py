"""Care for the time that MMEngine's trainings take."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def unformatted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the text of configs as it is: to format it takes most of the time of a save."""
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))


@pytest.fixture(autouse=True, scope='package')
def imports_are_no_garbage() -> Iterator[None]:
    """Let the garbage collection at every dataset that MMEngine makes leave alone what was imported before."""
    gc.freeze()
    yield
    gc.unfreeze()

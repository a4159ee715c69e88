"""The command that installs an extra of this package."""

import sys
from importlib.util import find_spec

WITH_BASICSR = ('basicsr', 'evaluate', 'mmengine')
"""Extras that include BasicSR, whose build needs the installed torch."""


def how_to_install(extra: str) -> str:
    """The command that installs an extra, for an error message."""
    flags = '--no-build-isolation --use-pep517 ' if extra in WITH_BASICSR else ''
    notes = []
    if flags and find_spec('torchvision') is None:
        notes.append('after torchvision for the installed torch, or pip replaces torch')
    if flags and sys.version_info >= (3, 13):
        notes.append('docs/install.md has the line for Python 3.13')
    place = f"pip install {flags}'.[{extra}]' in a checkout of asid_plugin"
    return place + f' ({"; ".join(notes)})' * bool(notes)

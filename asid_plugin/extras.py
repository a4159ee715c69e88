"""The command that installs an extra of this package."""

import sys

WITH_BASICSR = ('basicsr', 'evaluate', 'mmengine')
"""Extras that include BasicSR, whose build needs the installed torch."""


def how_to_install(extra: str) -> str:
    """The command that installs an extra, for an error message."""
    flags = '--no-build-isolation --use-pep517 ' if extra in WITH_BASICSR else ''
    note = ' (docs/install.md has the line for Python 3.13)' if flags and sys.version_info >= (3, 13) else ''
    return f"pip install {flags}'.[{extra}]' in a checkout of asid_plugin{note}"

"""The help with which Python 3.13 and later build BasicSR 1.4.2."""

import os
import subprocess
import sys
from pathlib import Path

HELP = Path(__file__).parents[2] / 'scripts' / 'basicsr_build'
LIKE_BASICSR = """
version_file = 'version.py'

def get_version():
    with open(version_file) as file:
        exec(compile(file.read(), version_file, 'exec'))
    return locals()['__version__']

def others():
    number = 1
    return locals()

class Body:
    number = 2
    names = [name for name in locals() if not name.startswith('__')]

print(get_version(), others(), Body.names, 'others' in locals())
"""


def test_the_version_is_found_and_locals_is_otherwise_unchanged(tmp_path: Path) -> None:
    (tmp_path / 'setup.py').write_text(LIKE_BASICSR)
    (tmp_path / 'version.py').write_text("__version__ = '1.4.2'")
    done = subprocess.run(
        [sys.executable, 'setup.py'],
        cwd=tmp_path,
        env=os.environ | {'PYTHONPATH': str(HELP)},
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("1.4.2 {'number': 1} ['number'] True\n", '')

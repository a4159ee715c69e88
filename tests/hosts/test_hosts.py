"""The hook and the hosts where things are not as they usually are: none may break somebody else's program."""

import subprocess
import zipfile
from pathlib import Path

import pytest

import fresh


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, in a folder whose modules come first."""
    done = fresh.run(['-c', code], folder)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
@pytest.mark.parametrize('name', ['spandrel', 'mmengine'])
def test_a_host_of_another_version_works_as_before(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / '__init__.py').write_text("__version__ = '99.0'\nanswer = 42")
    done = run(f'import {name}; print({name}.answer)', tmp_path)
    assert done.stdout == '42\n'
    assert f'asid_plugin cannot register in {name} 99.0' in done.stderr


@pytest.mark.slow
def test_a_loader_that_modules_share_is_watched_for_the_host_only(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / 'all.zip', 'w') as archive:
        archive.writestr('basicsr.py', "__version__ = '1.2.0'")
        archive.writestr('another.py', 'answer = 42')
    code = (
        "import sys; sys.path.insert(0, 'all.zip'); import basicsr, another; print(basicsr.__version__, another.answer)"
    )
    assert run(code, tmp_path).stdout == '1.2.0 42\n'


@pytest.mark.slow
def test_a_basicsr_of_somebody_elses_needs_none_of_our_extras(tmp_path: Path) -> None:
    (tmp_path / 'basicsr').mkdir()
    (tmp_path / 'basicsr' / '__init__.py').write_text("__version__ = '1.2.0'")
    code = """
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        missing = name.partition('.')[0] in ('torchvision', 'lmdb', 'jsonschema')
        return None if missing else self.finder.find_spec(name, path, target)
sys.meta_path[:] = map(Without, sys.meta_path)
import basicsr
print(basicsr.__version__)
"""
    assert run(code, tmp_path).stdout == '1.2.0\n'


@pytest.mark.slow
def test_mmengines_registries_may_be_asked_for_first(tmp_path: Path) -> None:
    code = "from asid_plugin.hosts.mmengine import registries; print(registries()['MODELS'].scope)"
    assert run(code, tmp_path).stdout == 'asid\n'

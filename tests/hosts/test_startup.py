"""The start-up hook, and BasicSR's own scripts, unmodified, in an environment where the package is installed."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import venv
from pathlib import Path

import basicsr
import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.archs import build_network

import asid_plugin
import fresh

ROOT = Path(__file__).parents[2]
REGISTERED = "from basicsr.utils.registry import ARCH_REGISTRY; assert 'ASID' in ARCH_REGISTRY"


def run(*command: str | Path, cwd: Path) -> str:
    env = os.environ | {'OMP_NUM_THREADS': '1'}
    env.pop('PYTHONPATH', None)
    done = subprocess.run(command, cwd=cwd, env=env, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    return done.stdout + done.stderr


def without_hook(code: str) -> None:
    """Run code in an interpreter that takes no start-up hooks from site-packages."""
    done = fresh.run(['-c', f'import sys\n{textwrap.dedent(code)}'], ROOT, hook=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]


def make_environment(folder: Path) -> tuple[Path, Path]:
    """A virtual environment with this one's packages, but not their start-up hooks; its Python and site-packages."""
    venv.create(folder)
    python = folder / 'bin' / 'python'
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site_packages = Path(run(python, '-c', ask, cwd=folder).strip())
    (site_packages / 'theirs.pth').write_text(sysconfig.get_path('purelib'))
    return python, site_packages


def pip(python: Path, *arguments: str | Path, cwd: Path) -> None:
    run(sys.executable, '-m', 'pip', '--python', python, *arguments, cwd=cwd)


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of a distribution, in a folder of its own, since building leaves files in it."""
    folder = tmp_path_factory.mktemp('source')
    for name in ('LICENSE', 'README.md', 'pyproject.toml', 'setup.py'):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / 'asid_plugin', folder / 'asid_plugin', ignore=shutil.ignore_patterns('__pycache__'))
    return folder


@pytest.fixture(scope='module')
def python(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment into which this package was installed by pip."""
    folder = tmp_path_factory.mktemp('environment')
    python, _ = make_environment(folder)
    pip(python, 'install', '--no-deps', '--no-build-isolation', '--no-index', source, cwd=folder)
    return python


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree of BasicSR as released."""
    package = Path(basicsr.__file__).parent
    shutil.copytree(package, tmp_path / 'BasicSR' / 'basicsr', ignore=shutil.ignore_patterns('__pycache__'))
    return tmp_path / 'BasicSR'


def write_options(tree: Path, options: dict) -> str:
    (tree / 'tiny.yml').write_text(yaml.dump(options))
    return 'tiny.yml'


def iterations(log: str) -> list[tuple[int, str]]:
    """Iteration and learning rate of every line that BasicSR's MessageLogger wrote."""
    return [(int(number), rate) for number, rate in re.findall(r'iter: +(\d+), lr:\((.+?),\)', log)]


@pytest.mark.slow
def test_the_hook_costs_next_to_nothing(python: Path, tmp_path: Path) -> None:
    imports = f'sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules); import asid_plugin'
    # every interpreter that reads .pth files has imported os
    added = run(
        sys.executable, '-S', '-c', f'import os, sys; {imports}; print(set(sys.modules) - before)', cwd=tmp_path
    )
    assert ast.literal_eval(added) == {'asid_plugin', 'asid_plugin.startup', 'asid_plugin.version'}
    loaded = run(python, '-c', "import sys; print('asid_plugin' in sys.modules, 'torch' in sys.modules)", cwd=tmp_path)
    assert loaded == 'True False\n'


@pytest.mark.slow
@pytest.mark.parametrize(('switch', 'known'), [('on', True), ('off', False)])
def test_the_hook_can_be_switched_off(switch: str, known: bool) -> None:
    code = 'import sys, asid_plugin, mmengine; sys.exit("asid_plugin.hosts.mmengine" in sys.modules)'
    done = fresh.run(['-c', code], ROOT, os.environ | {'ASID_PLUGIN_HOOK': switch})
    assert done.returncode == known


@pytest.mark.slow
def test_an_installed_package_is_complete(python: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((20, 24, 3), 128, np.uint8))
    assert run(python.parent / 'asid', '--version', cwd=tmp_path) == f'asid_plugin {asid_plugin.__version__}\n'
    run(python, '-m', 'asid_plugin', 'upscale', 'a.png', '-o', '3.png', '--scale', '3', cwd=tmp_path)
    assert cv2.imread(str(tmp_path / '3.png')).shape == (60, 72, 3)
    find = 'import asid_plugin; print(asid_plugin.__path__[0])'
    installed, ours = Path(run(python, '-c', find, cwd=tmp_path).strip()), ROOT / 'asid_plugin'
    assert installed != ours
    files = [path.relative_to(ours) for path in ours.rglob('*') if path.is_file()]
    wanted = [path for path in files if path.suffix not in ('.pyc', '.pth')]
    assert Path('py.typed') in wanted
    assert not [path for path in wanted if not (installed / path).exists()]


@pytest.mark.slow
def test_a_plain_tree_trains_and_resumes(python: Path, tree: Path, options: dict) -> None:
    options['train']['total_iter'] = 3
    log = run(python, 'basicsr/train.py', '-opt', write_options(tree, options), cwd=tree)
    assert iterations(log) == [(1, '1.000e-03'), (2, '1.000e-03'), (3, '1.000e-03')]
    trained = torch.load(tree / 'experiments' / 'tiny' / 'models' / 'net_g_3.pth')['params']
    build_network(options['network_g']).load_state_dict(trained)

    options['train']['total_iter'] = 6
    done = fresh.run(
        [*fresh.script(Path('basicsr/train.py')), '-opt', write_options(tree, options), '--auto_resume'], tree
    )
    log = done.stdout + done.stderr
    assert 'Resuming training from epoch: 1, iter: 3.' in log
    assert iterations(log) == [(4, '1.000e-03'), (5, '5.000e-04'), (6, '5.000e-04')]


@pytest.mark.slow
def test_a_plain_tree_trains_in_two_processes(tree: Path, options: dict) -> None:
    options['train']['total_iter'] = 2
    words = [*fresh.script(Path('basicsr/train.py')), '-opt', write_options(tree, options), '--launcher', 'pytorch']
    log = ''.join(done.stdout + done.stderr for done in fresh.together(words, tree))
    assert 'World size (gpu number): 2' in log
    assert [number for number, _ in iterations(log)] == [1, 2]
    assert (tree / 'experiments' / 'tiny' / 'models' / 'net_g_latest.pth').exists()


@pytest.mark.slow
def test_an_editable_install_has_the_hook_until_it_is_uninstalled(source: Path, tmp_path: Path) -> None:
    python, site_packages = make_environment(tmp_path / 'environment')
    is_hooked = [python, '-c', "import sys; print('asid_plugin' in sys.modules)"]
    pip(python, 'install', '--no-deps', '--no-build-isolation', '--no-index', '--editable', source, cwd=tmp_path)
    assert (site_packages / 'asid_plugin.pth').exists() and not (site_packages / 'asid_plugin').exists()
    assert run(*is_hooked, cwd=tmp_path) == 'True\n'
    pip(python, 'uninstall', '--yes', 'asid-plugin', cwd=tmp_path)
    assert not (site_packages / 'asid_plugin.pth').exists()
    assert run(*is_hooked, cwd=tmp_path) == 'False\n'


@pytest.mark.slow
def test_our_parts_may_be_imported_first() -> None:
    """They import BasicSR when they are half-way through, and BasicSR's hook in turn wants all of them."""
    without_hook(f"""
        import asid_plugin.models
        {REGISTERED}
        from basicsr.utils import options
        assert hasattr(options.parse_options, '__wrapped__')
    """)


@pytest.mark.slow
def test_a_line_of_yaml_mends_a_basicsr_that_is_running_already() -> None:
    without_hook(f"""
        import asid_plugin.compat.basicsr as corrections
        corrections.before_import()  # now BasicSR can be imported unchanged
        sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != 'HostHook']
        for name in [name for name in sys.modules if name.partition('.')[0] == 'asid_plugin']:
            del sys.modules[name]

        import basicsr.train, yaml
        parse_options = basicsr.train.parse_options
        assert yaml.load('!!python/name:asid_plugin.__version__', yaml.CLoader)[0].isdigit()
        {REGISTERED}
        assert basicsr.train.parse_options is not parse_options
    """)


@pytest.mark.slow
def test_a_basicsr_that_another_project_carries_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / 'basicsr').mkdir()
    (tmp_path / 'basicsr' / '__init__.py').write_text("__version__ = '1.2.0+1386d3b'")
    without_hook(f"""
        import asid_plugin
        sys.path.insert(0, {str(tmp_path)!r})
        import basicsr
        assert basicsr.__version__ == '1.2.0+1386d3b'
        assert 'asid_plugin.archs' not in sys.modules and 'basicsr.utils' not in sys.modules
    """)


@pytest.mark.slow
def test_a_failure_of_basicsr_is_passed_on_and_can_be_repaired(tmp_path: Path) -> None:
    (tmp_path / 'basicsr').mkdir()
    (tmp_path / 'basicsr' / '__init__.py').write_text('import no_such_module')
    without_hook(f"""
        import asid_plugin
        sys.path.insert(0, {str(tmp_path)!r})
        try:
            import basicsr
        except ModuleNotFoundError as error:
            assert error.name == 'no_such_module' and 'basicsr' not in sys.modules
        del sys.path[0]
        {REGISTERED}
    """)

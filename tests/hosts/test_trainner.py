"""traiNNer-redux, of which there is no package: a module of its name with registries like its own."""

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
REGISTRY = """
class Registry:
    def __init__(self):
        self.kept = {}

    def register(self):
        def keep(item):
            name = item.__name__.lower()
            assert name not in self.kept
            self.kept[name] = item
            return item

        return keep

    def get(self, name):
        return self.kept[name.lower()]

    def __contains__(self, name):
        return name.lower() in self.kept


SPANDREL_REGISTRY = Registry()
"""


def run(folder: Path, code: str) -> subprocess.CompletedProcess:
    module = folder / 'traiNNer/utils/registry.py'
    module.parent.mkdir(parents=True)
    module.write_text(REGISTRY)
    for package in ('traiNNer', 'traiNNer/utils'):
        (folder / package / '__init__.py').touch()
    start = f'import sys; sys.path[:0] = [{str(ROOT)!r}]; import asid_plugin\n'
    return subprocess.run([sys.executable, '-c', start + code], cwd=folder, text=True, capture_output=True, timeout=120)


def test_its_networks_are_registered_with_its_registry(tmp_path: Path) -> None:
    """As its `build_network` calls them: by the option's type, with the scale from the top of the file."""
    network = yaml.safe_load((ROOT / 'options/trainner/train_ASID_x4.yaml').read_text())['network_g']
    code = f"""
from traiNNer.utils.registry import SPANDREL_REGISTRY
print('torch' in sys.modules)
import asid_plugin.hosts.trainner as host
host.after_import(sys.modules['traiNNer.utils.registry'])  # again, which changes nothing
options = {network!r}
net = SPANDREL_REGISTRY.get(options.pop('type'))(**options, scale=4)
deep = SPANDREL_REGISTRY.get('asid_d8')(scale=2, num_feat=16)
print(net.arguments == dict(net.arguments, upscale=4, num_block=3), deep.upscale, len(deep.body))
"""
    done = run(tmp_path, code)
    assert done.stdout == 'False\nTrue 2 8\n', done.stderr


def test_registries_of_another_form_are_left_alone(tmp_path: Path) -> None:
    module = tmp_path / 'traiNNer/utils/registry.py'
    done = run(tmp_path, 'import traiNNer.utils')
    assert done.stderr == ''
    module.write_text('SPANDREL_REGISTRY = None')
    code = f'import sys; sys.path[:0] = [{str(ROOT)!r}]; import asid_plugin, traiNNer.utils.registry'
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0 and 'asid_plugin cannot register in traiNNer.utils.registry' in done.stderr

"""The import hook through which BasicSR, MMEngine, spandrel and traiNNer-redux know us, without a line in them.

`asid_plugin.pth`, installed beside the package, imports `asid_plugin` whenever an interpreter of the environment
starts, and that calls `install`. From then on `import basicsr`, from site-packages or from a source tree, calls
`asid_plugin.hosts.basicsr.before_import`, runs BasicSR's own code, and calls `after_import`; likewise for the others.

Every interpreter of the environment pays for this module, so it imports nothing that is not loaded already
(`import asid_plugin` takes a third of a millisecond).
"""

import _thread
import os
import sys

TYPE_CHECKING = False  # of typing, which is not loaded yet
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType

HOSTS = ('basicsr', 'mmengine', 'spandrel', 'traiNNer.utils.registry')
"""Modules that are watched; that of `asid_plugin.hosts` with the lowered name of their package acts on each."""
SWITCH = 'ASID_PLUGIN_HOOK'
"""Environment variable; `off` leaves the hosts as they are."""


class HostHook:
    """A finder for `sys.meta_path` that lets the other finders find a host and watches its loader."""

    def __init__(self) -> None:
        self._searched: set[tuple[int, str]] = set()

    def find_spec(
        self, fullname: str, path: 'Sequence[str] | None' = None, target: 'ModuleType | None' = None
    ) -> 'ModuleSpec | None':
        """Find a host as the other finders would, with its loader's `exec_module` watched."""
        search = _thread.get_ident(), fullname
        if fullname not in HOSTS or search in self._searched:  # by a finder that asks all finders, as this one does
            return None
        self._searched.add(search)
        try:
            found = (finder.find_spec(fullname, path, target) for finder in sys.meta_path)
            spec = next(filter(None, found), None)
        finally:
            self._searched.discard(search)
        if spec is not None and spec.loader is not None:  # a folder without __init__.py has none
            _watch(spec.loader)
        return spec


def _watch(loader: 'Loader') -> None:
    exec_module = loader.exec_module

    def watched(module: 'ModuleType') -> None:
        if module.__name__ not in HOSTS:  # of a loader that several modules share, such as that of a zip file
            exec_module(module)
            return
        host = _host(module.__name__)
        host.before_import()
        exec_module(module)
        host.after_import(module)

    loader.exec_module = watched  # type: ignore[method-assign]


def _host(name: str) -> 'ModuleType':
    from importlib import import_module

    return import_module(f'asid_plugin.hosts.{name.partition(".")[0].lower()}')


def install() -> None:
    """Install the hook, once. A host that was imported before it is connected at once.

    With `ASID_PLUGIN_HOOK=off` in the environment it does nothing.
    """
    if os.environ.get(SWITCH) == 'off' or any(isinstance(finder, HostHook) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, HostHook())
    for name in HOSTS:
        module = sys.modules.get(name)
        if module is not None and not getattr(module.__spec__, '_initializing', False):
            _host(name).after_import(module)

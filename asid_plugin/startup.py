"""The import hook that adds ASID to BasicSR, MMEngine, spandrel and traiNNer-redux without changes in them.

`asid_plugin.pth`, installed beside the package, imports `asid_plugin` at the start of every interpreter of the
environment, which calls `install`. Then `import basicsr`, from site-packages or a source tree, calls
`asid_plugin.hosts.basicsr.before_import`, runs the code of BasicSR, and calls `after_import`; likewise for the others.

Every interpreter of the environment loads this module, so it imports only modules that are already loaded
(`import asid_plugin` takes a third of a millisecond).
"""

import _thread
import os
import sys

TYPE_CHECKING = False  # from typing, which is not loaded yet
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType

HOSTS = ('basicsr', 'mmengine', 'spandrel', 'traiNNer.utils.registry')
"""Watched modules; the module of `asid_plugin.hosts` with the lower-case name of the package handles each."""
SWITCH = 'ASID_PLUGIN_HOOK'
"""Environment variable; `off` disables the hook."""


class HostHook:
    """A finder for `sys.meta_path` that delegates to the other finders and watches the loader of a host."""

    def __init__(self) -> None:
        self._searched: set[tuple[int, str]] = set()

    def find_spec(
        self, fullname: str, path: 'Sequence[str] | None' = None, target: 'ModuleType | None' = None
    ) -> 'ModuleSpec | None':
        """Find a host by the other finders, and watch `exec_module` of its loader."""
        search = _thread.get_ident(), fullname
        if fullname not in HOSTS or search in self._searched:  # called by a finder that asks all finders, like this one
            return None
        self._searched.add(search)
        try:
            found = (finder.find_spec(fullname, path, target) for finder in sys.meta_path)
            spec = next(filter(None, found), None)
        finally:
            self._searched.discard(search)
        if spec is not None and spec.loader is not None:  # a folder without __init__.py has no loader
            _watch(spec.loader)
        return spec


def _watch(loader: 'Loader') -> None:
    exec_module = loader.exec_module

    def watched(module: 'ModuleType') -> None:
        if module.__name__ not in HOSTS:  # several modules may share a loader, such as that of a zip file
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
    """Install the hook, once. An already imported host is connected at once.

    With `ASID_PLUGIN_HOOK=off` in the environment it does nothing.
    """
    if os.environ.get(SWITCH) == 'off' or any(isinstance(finder, HostHook) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, HostHook())
    for name in HOSTS:
        module = sys.modules.get(name)
        if module is not None and not getattr(module.__spec__, '_initializing', False):
            _host(name).after_import(module)

"""The import hook through which an unmodified BasicSR runs on today's stack and knows ASID.

`asid_plugin.pth`, installed beside the package, imports `asid_plugin` whenever an interpreter of the environment
starts, and that calls `install`. From then on `import basicsr`, from site-packages or from a source tree,
means: mend the stack (`asid_plugin.compat`), run BasicSR's own code, mend BasicSR, register this package's parts.

Every interpreter of the environment pays for this module, so it imports nothing that is not loaded already
(`import asid_plugin` takes a third of a millisecond).
"""

import sys

_PARTS = ('asid_plugin.archs', 'asid_plugin.data', 'asid_plugin.losses', 'asid_plugin.metrics', 'asid_plugin.models')


class BasicSRHook:
    """A finder for `sys.meta_path` that runs the mends around BasicSR's import and registers our parts after it.

    It watches BasicSR and our own modules, because either can be imported first: `import asid_plugin.archs` imports
    BasicSR half-way through. Registration therefore waits until the outermost watched import has finished.
    """

    def __init__(self):
        self._depth = 0
        self._is_complete = False

    def find_spec(self, fullname, path=None, target=None):
        """Find `fullname` as the other finders would, with its loader's `exec_module` watched."""
        if fullname != 'basicsr' and not fullname.startswith('asid_plugin.'):
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                break
        else:
            return None
        if spec.loader is not None:  # a folder without __init__.py that happens to be called basicsr has none
            self._watch(spec.loader)
        return spec

    def complete(self):
        """Import everything that registers itself with BasicSR, and the option checks; once."""
        if self._is_complete:
            return
        from importlib import import_module

        self._depth += 1
        try:
            for part in _PARTS:
                import_module(part)
            import_module('asid_plugin.options').install()
        finally:
            self._depth -= 1
        self._is_complete = True

    def _watch(self, loader):
        exec_module = loader.exec_module

        def watched(module):
            self._depth += 1
            try:
                if module.__name__ == 'basicsr':
                    _exec_mended(exec_module, module)
                else:
                    exec_module(module)
            finally:
                self._depth -= 1
            if self._depth == 0 and _is_known(sys.modules.get('basicsr')):
                self.complete()

        loader.exec_module = watched


def _exec_mended(exec_module, module):
    from asid_plugin import compat

    compat.before_import()
    exec_module(module)
    if _is_known(module):
        compat.after_import()


def _is_known(basicsr):
    # many projects carry an older or trimmed BasicSR in their tree, which is none of this package's business
    return getattr(basicsr, '__version__', '').startswith('1.4.')


def install():
    """Install the hook, once. A BasicSR that was imported before it is mended and told of our parts at once."""
    if any(isinstance(finder, BasicSRHook) for finder in sys.meta_path):
        return
    hook = BasicSRHook()
    basicsr = sys.modules.get('basicsr')
    is_imported = _is_known(basicsr) and not getattr(basicsr.__spec__, '_initializing', False)
    if is_imported:
        from asid_plugin import compat

        compat.after_import()
    sys.meta_path.insert(0, hook)
    if is_imported:
        hook.complete()

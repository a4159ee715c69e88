"""Harden spandrel's reader of checkpoint files for untrusted files."""

import functools
from pathlib import Path
from typing import Any

from spandrel import ModelLoader


def guard_loader(loader: type[ModelLoader] = ModelLoader) -> None:
    """Let a `ModelLoader` refuse .pth and .ckpt files that cost much more memory than their size.

    spandrel's unpickler runs no code, but 3 MB may become gigabytes. The weights of neosr's ASID are also refused here,
    because their wrapper, which distinguishes them from the paper's, is removed before spandrel looks for an
    architecture. A second call does nothing.
    """
    original = loader._load_pth
    if hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def load_pth(self: ModelLoader, path: str | Path) -> Any:
        # imported here, because most programs that import spandrel load nothing
        from asid_plugin.checkpoints import CheckpointError
        from asid_plugin.checkpoints.archives import check_file
        from asid_plugin.checkpoints.reading import refuse_neosr
        from asid_plugin.checkpoints.unpickling import UnpicklingError

        try:
            check_file(path)
        except UnpicklingError as error:
            raise CheckpointError(f'{path}: {error}') from None
        content = original(self, path)
        if isinstance(content, dict):
            refuse_neosr(path, content)
        return content

    loader._load_pth = load_pth

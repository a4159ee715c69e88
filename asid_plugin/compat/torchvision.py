"""Let torchvision be imported if its compiled operators do not load."""

import re
import sys
from importlib.util import find_spec

import torch


def torchvision_ops() -> None:
    """Let torchvision be imported if its compiled operators do not load.

    That happens where torch and torchvision come from different builds, usually torch's CPU build and PyPI's
    torchvision. Since 0.17 it then stops with "operator torchvision::nms does not exist" (since 0.28 also
    "qnms"), because it describes undeclared operators. Declaring them is enough, because BasicSR calls none of them.
    """
    if find_spec('torchvision') is None:
        return
    while True:
        try:
            import torchvision  # noqa: F401

            return
        except RuntimeError as error:
            missing = re.search(r'operator torchvision::(\w+) does not exist', str(error))
            if missing is None:
                raise
        for name in [name for name in sys.modules if name.partition('.')[0] == 'torchvision']:
            del sys.modules[name]
        library = torch.library.Library('torchvision', 'FRAGMENT')
        library.define(f'{missing[1]}(...) -> ...')  # fails if it is declared already, so the loop ends
        _KEPT_ALIVE.append(library)


_KEPT_ALIVE: list[torch.library.Library] = []  # a torch library's declarations go when it does

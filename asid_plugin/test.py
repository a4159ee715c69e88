"""`python -m asid_plugin.test -opt FILE`: BasicSR's testing, with its arguments; writes `results/` here."""

import os

from basicsr.test import test_pipeline
from torch import distributed


def main() -> None:
    """Test, then leave the process group, if there is one."""
    test_pipeline(os.getcwd())
    if distributed.is_initialized():
        distributed.destroy_process_group()


if __name__ == '__main__':
    main()

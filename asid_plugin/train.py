"""`python -m asid_plugin.train -opt FILE`: BasicSR's training, with its arguments, in the current directory.

Does what `python basicsr/train.py` does in a source tree of BasicSR; `experiments/` and `tb_logger/` are written
to, and `--auto_resume` looks into, the current directory. Several processes: `torchrun -m asid_plugin.train ...`.
"""

import os

from basicsr.train import train_pipeline
from torch import distributed


def main() -> None:
    """Train, then leave the process group, if there is one."""
    train_pipeline(os.getcwd())
    if distributed.is_initialized():  # after a failure nobody waits for the others, or they would hang together
        distributed.destroy_process_group()


if __name__ == '__main__':
    main()

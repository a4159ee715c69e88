"""`python -m asid_plugin.train -opt FILE`: BasicSR's training, with its arguments, in the current directory.

Does what `python basicsr/train.py` does in a source tree of BasicSR; `experiments/` and `tb_logger/` are written
to, and `--auto_resume` looks into, the current directory. Several processes: `torchrun -m asid_plugin.train ...`.
"""

import os

from basicsr.train import train_pipeline

if __name__ == '__main__':
    train_pipeline(os.getcwd())

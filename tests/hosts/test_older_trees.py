"""A tree that was written for BasicSR 1.3.4.9, as HAT's is: it imports names that 1.4 has moved."""

from pathlib import Path

import pytest
import yaml

import asid_plugin  # noqa: F401  # before basicsr

# isort: split
from basicsr.losses import basic_loss, gan_loss
from basicsr.utils import color_util, matlab_functions

import fresh
from asid_plugin.compat.older_names import COLOURS

ROOT = Path(__file__).parents[2]
DATASET = """
from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.losses.losses import CharbonnierLoss, GANLoss, r1_penalty
from basicsr.utils.matlab_functions import bgr2ycbcr, imresize, rgb2ycbcr
from basicsr.utils.registry import DATASET_REGISTRY


@DATASET_REGISTRY.register()
class TheirDataset(PairedImageDataset):
    pass
"""
MODEL = """
import torch.nn.functional as F
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import ARCH_REGISTRY, MODEL_REGISTRY
from torch import nn


@ARCH_REGISTRY.register()
class TheirNet(nn.Conv2d):
    pass


@MODEL_REGISTRY.register()
class TheirModel(SRModel):
    def optimize_parameters(self, current_iter):
        super().optimize_parameters(current_iter)
        assert 'ASID' in ARCH_REGISTRY and 'TheirNet' in ARCH_REGISTRY and 'ASIDModel' in MODEL_REGISTRY
"""
TRAIN = """
import sys
from pathlib import Path

import theirs.data
import theirs.models
from basicsr.train import train_pipeline

if __name__ == '__main__':
    train_pipeline(str(Path.cwd()))
"""


def test_names_are_where_they_were() -> None:
    assert all(getattr(matlab_functions, name) is getattr(color_util, name) for name in COLOURS)
    from basicsr.losses import losses

    assert losses.L1Loss is basic_loss.L1Loss and losses.l1_loss is basic_loss.l1_loss
    assert losses.GANLoss is gan_loss.GANLoss and losses.gradient_penalty_loss is gan_loss.gradient_penalty_loss
    assert not hasattr(losses, 'torch')


@pytest.mark.slow
def test_an_option_file_of_the_tree_trains_asid(tmp_path: Path, options: dict) -> None:
    for name, text in {'data': DATASET, 'models': MODEL, 'train': TRAIN, '__init__': ''}.items():
        file = tmp_path / 'theirs' / f'{name}.py'
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    options['model_type'] = 'TheirModel'
    options['datasets']['train']['type'] = 'TheirDataset'
    options['train']['optim_g'] = {'type': 'Adam', 'lr': 1e-3}
    options['train']['total_iter'] = 2
    (tmp_path / 'tiny.yml').write_text(yaml.safe_dump(options))
    code = f'import sys; sys.path[:0] = [{str(ROOT)!r}]; import asid_plugin; import theirs.train as script; '
    code += 'script.train_pipeline(sys.argv.pop())'
    done = fresh.run(['-c', code, '-opt', 'tiny.yml', str(tmp_path)], tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / 'experiments/tiny/models/net_g_latest.pth').is_file()
    assert 'Model [TheirModel] is created.' in done.stderr + done.stdout

"""The configs for mmagic, checked without it; scripts/maintain/test_mmagic.sh trains and tests with them."""

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS

OPTIONS = Path(__file__).parents[2] / 'options'


@pytest.mark.parametrize(('scale', 'parameters'), [(2, 297_516), (3, 304_011), (4, 313_104)])
def test_config_is_the_recipe(scale: int, parameters: int) -> None:
    config = Config.fromfile(OPTIONS / f'mmagic/asid_x{scale}c48b3_1xb16_div2k.py')
    recipe = yaml.safe_load((OPTIONS / f'train_ASID_x{scale}.yml').read_text())
    train, optimizer, scheduler = recipe['train'], config.optim_wrapper.optimizer, config.param_scheduler
    assert sum(weight.numel() for weight in MODELS.build(config.model.generator).parameters()) == parameters
    assert {**optimizer, 'betas': list(optimizer.betas)} == train['optim_g']
    assert [scheduler.milestones, scheduler.gamma] == [train['scheduler'][key] for key in ('milestones', 'gamma')]
    assert config.train_cfg.max_iters == train['total_iter'] and config.randomness.seed == recipe['manual_seed']
    assert config.train_dataloader.batch_size == recipe['datasets']['train']['batch_size_per_gpu']
    steps = {step.type: step for step in config.train_dataloader.dataset.pipeline}
    assert steps['PairedRandomCrop'].gt_patch_size == recipe['datasets']['train']['gt_size']
    assert steps['SetValues'].dictionary == {'scale': scale}
    assert config.train_dataloader.dataset.data_prefix.img == f'DIV2K_train_LR_bicubic/X{scale}_sub'


@pytest.mark.parametrize('scale', [2, 3, 4])
@pytest.mark.parametrize('part', ['val', 'test'])
def test_config_measures_as_the_paper(scale: int, part: str) -> None:
    config = Config.fromfile(OPTIONS / f'mmagic/asid_x{scale}c48b3_1xb16_div2k.py')
    assert config[f'{part}_dataloader'].dataset.data_prefix == {'img': f'LRbicx{scale}', 'gt': f'GTmod{scale}'}
    metrics = [{'type': name, 'crop_border': scale, 'convert_to': 'Y'} for name in ('PSNR', 'SSIM')]
    assert config[f'{part}_evaluator'].metrics == metrics

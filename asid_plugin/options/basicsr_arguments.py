"""Declarations of arguments of BasicSR's classes and functions beyond their signatures.

BasicSR has no annotations. Types come from defaults (`signatures`); the rest is declared here, by the class that owns
the `__init__`, or by the function. 1 may mean 1.0.
"""

from .kinds import Schema

_FLAG: Schema = {'type': 'boolean'}
_CROP_BORDER: Schema = {'type': 'integer', 'minimum': 0}
_NUMBERS: Schema = {'type': 'array', 'items': {'type': 'number'}}
_NUMBER: Schema = {'type': 'number'}
_NUMBER_OR_LIST: Schema = {'type': ['number', 'array']}
_NUMBER_OR_NONE: Schema = {'type': ['number', 'null']}
_TEXT: Schema = {'type': 'string'}
_TEXT_OR_NONE: Schema = {'type': ['string', 'null']}
_REDUCTION: Schema = {'enum': ['none', 'mean', 'sum']}
_INPUT_ORDER: Schema = {'enum': ['HWC', 'CHW']}


def _steps(least: int, num_least: int = 0) -> Schema:
    """A list of at least `num_least` iterations, each at least `least`."""
    return {'type': 'array', 'items': {'type': 'integer', 'minimum': least}, 'minItems': num_least}


ARGUMENTS: dict[str, dict[str, Schema]] = {
    # networks
    'BasicVSR': {'spynet_path': _TEXT_OR_NONE},
    'BasicVSRPlusPlus': {'spynet_path': _TEXT_OR_NONE},
    'DFDNet': {'num_feat': _NUMBER, 'dict_path': _TEXT},
    'ECBSR': {
        'num_in_ch': _NUMBER,
        'num_out_ch': _NUMBER,
        'num_block': _NUMBER,
        'num_channel': _NUMBER,
        'with_idt': _FLAG,
        'act_type': _TEXT,
        'scale': _NUMBER,
    },
    'EDSR': {'num_in_ch': _NUMBER, 'num_out_ch': _NUMBER},
    'EDVR': {'center_frame_idx': _NUMBER_OR_NONE},
    'IconVSR': {'spynet_path': _TEXT_OR_NONE, 'edvr_path': _TEXT_OR_NONE},
    'RCAN': {'num_in_ch': _NUMBER, 'num_out_ch': _NUMBER},
    'RIDNet': {'in_channels': _NUMBER, 'mid_channels': _NUMBER, 'out_channels': _NUMBER},
    'RRDBNet': {'num_in_ch': _NUMBER, 'num_out_ch': _NUMBER},
    'SpyNet': {'load_path': _TEXT_OR_NONE},
    'StyleGAN2Discriminator': {'out_size': _NUMBER},
    'StyleGAN2Generator': {'out_size': _NUMBER},
    'SwinIR': {'img_size': _NUMBER_OR_LIST, 'patch_size': _NUMBER_OR_LIST, 'qk_scale': _NUMBER_OR_NONE},
    'VGGFeatureExtractor': {'layer_name_list': {'type': ['array', 'string']}},
    'VGGStyleDiscriminator': {'num_in_ch': _NUMBER, 'num_feat': _NUMBER},
    # losses
    'CharbonnierLoss': {'reduction': _REDUCTION},
    'GANLoss': {'gan_type': _TEXT},
    'L1Loss': {'reduction': _REDUCTION},
    'MSELoss': {'reduction': _REDUCTION},
    'PerceptualLoss': {'layer_weights': {'type': 'object'}},
    # schedulers
    'CosineAnnealingRestartLR': {'periods': _steps(1, 1), 'restart_weights': _NUMBERS},
    'MultiStepRestartLR': {'milestones': _steps(0), 'restarts': _steps(0), 'restart_weights': _NUMBERS},
    # metrics
    'calculate_niqe': {'crop_border': _CROP_BORDER, 'input_order': {'enum': ['HW', 'HWC', 'CHW']}},
    'calculate_psnr': {'crop_border': _CROP_BORDER, 'input_order': _INPUT_ORDER},
    'calculate_psnr_pt': {'crop_border': _CROP_BORDER},
    'calculate_ssim': {'crop_border': _CROP_BORDER, 'input_order': _INPUT_ORDER},
    'calculate_ssim_pt': {'crop_border': _CROP_BORDER},
}

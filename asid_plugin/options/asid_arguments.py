"""Sentences on the networks, losses and metrics of this package, and on each of their arguments.

Editors and the documentation show them. Types, choices and defaults come from the signatures.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sentences:
    """Sentences on a class or function, and on its arguments by name."""

    summary: str = ''
    arguments: Mapping[str, str] = field(default_factory=dict)


_SIZES = {
    'num_in_ch': 'Channels of the input image.',
    'num_out_ch': 'Channels of the output image.',
    'num_feat': 'Width C, a multiple of 4 and at least 16.',
    'upscale': 'Scale k.',
    'window_size': 'P, side of the meso windows and of the global grid, 2 to 32.',
}
_LOSS = {
    'loss_weight': 'Factor.',
    'reduction': 'Reduction over all pixels: mean, sum or none.',
}

SENTENCES = {
    'ASID': Sentences(
        'Lightweight super-resolution Transformer; every variant of the paper is a choice of arguments.',
        {
            **_SIZES,
            'num_block': 'Blocks N: 3 is ASID, 8 is ASID-D8.',
            'sharing': "Sharing of attention matrices: 'inter', the first block computes them for all (the paper); "
            "'intra', the first SAM of each block for its block (Table 4); 'none', every SAM for itself.",
            'distillation': "False makes each block one unit of full width (Table 3's Baseline).",
            'channel_split': "False sends every channel of a unit through its SAM (Table 3's ID).",
            'input_range': "Input range of the first layer: 'signed', [-1, 1] (the paper's), or 'unit', [0, 1] "
            "(neosr's).",
            'position_bias': "False omits the relative position bias of spatial attention (neosr's default).",
            'channel_scale': "Factor of the similarities in channel attention: 'learned', a temperature (the paper's), "
            "or 'fixed', 1 / sqrt(tokens of a group), as in scaled dot-product attention (neosr's default).",
        },
    ),
    'OmniSR': Sentences(
        'Omni-SR with attention on a share of the channels.',
        {
            **_SIZES,
            'num_block': 'Groups (OSAG): 5 is Omni-SR, 3 the network of the supplement.',
            'channel_split': 'Ratio r of the channels that enter attention, above 0 and at most 1; r * C is a multiple '
            'of the four heads.',
        },
    ),
    'FFTLoss': Sentences(
        'L1 distance of the spectra of the images: orthonormal `rfft2`, real and imaginary parts side by side.', _LOSS
    ),
    'WideCharbonnierLoss': Sentences(
        "BasicSR's `CharbonnierLoss` computed in float32.",
        {**_LOSS, 'eps': 'Squared distance under which the loss turns from linear to quadratic.'},
    ),
    'calculate_ssim_matlab': Sentences(
        'SSIM of a MATLAB script on 8-bit images: `rgb2ycbcr` of uint8 is uint8, so Y is rounded.',
        {
            'crop_border': 'Pixels cropped on each side.',
            'input_order': 'Order of the image axes.',
            'test_y_channel': 'Compare the luma Y of YCbCr instead of the colours.',
        },
    ),
}

"""This package's networks, losses and metrics, and the purpose of each of their arguments, in a sentence each.

Editors show the sentences, and the page of documentation lists them. Types, choices and defaults are the signatures'.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sentences:
    """Of a class or function, and of its arguments by name."""

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
    'reduction': 'One number of all the pixels: their mean or their sum; none leaves them as they are.',
}

SENTENCES = {
    'ASID': Sentences(
        'Lightweight super-resolution Transformer; every variant of the paper is a choice of arguments.',
        {
            **_SIZES,
            'num_block': 'Blocks N: 3 is ASID, 8 is ASID-D8.',
            'sharing': "Who computes attention matrices: 'inter', the first block for all (the paper's); 'intra', the "
            "first SAM of each block for its block (Table 4); 'none', every SAM its own.",
            'distillation': "False makes each block one unit of full width (Table 3's Baseline).",
            'channel_split': "False sends every channel of a unit through its SAM (Table 3's ID).",
            'input_range': "Range in which the first layer sees images: 'signed', [-1, 1] (the paper's), or 'unit', "
            "[0, 1] (neosr's).",
            'position_bias': "False leaves the relative position bias out of spatial attention (neosr's default).",
            'channel_scale': "Factor of the similarities in channel attention: 'learned', a temperature (the paper's), "
            "or 'fixed', 1 / sqrt(tokens of a group), as in scaled dot-product attention (neosr's default).",
        },
    ),
    'OmniSR': Sentences(
        'Omni-SR, of which a share of the channels enters attention.',
        {
            **_SIZES,
            'num_block': 'Groups (OSAG): 5 is Omni-SR, 3 the network of the supplement.',
            'channel_split': 'Ratio r of the channels that enter attention, above 0 and at most 1; r * C is a multiple '
            'of the four heads.',
        },
    ),
    'FFTLoss': Sentences(
        "L1 distance of the images' spectra: orthonormal `rfft2`, real and imaginary parts side by side.", _LOSS
    ),
    'WideCharbonnierLoss': Sentences(
        "BasicSR's `CharbonnierLoss` computed in float32.",
        {**_LOSS, 'eps': 'Squared distance under which the loss turns from linear to quadratic.'},
    ),
    'calculate_ssim_matlab': Sentences(
        'SSIM as a MATLAB script computes it from 8-bit images: `rgb2ycbcr` of uint8 is uint8, so Y is rounded.',
        {
            'crop_border': 'Pixels left out on each side.',
            'input_order': "Order of the images' axes.",
            'test_y_channel': 'Compare the luma Y of YCbCr instead of the colours.',
        },
    ),
}

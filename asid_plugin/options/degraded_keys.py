"""Keys of `DegradedImageDataset`, which degrades GT images while training."""

from .declaration import Needed, Option, Section
from .kinds import Kind, number, numbers
from .real_world_keys import KERNELS

DEGRADED_IMAGES = 'DegradedImageDataset'
RESIZES = ('bicubic', 'area', 'bilinear', 'cubic', 'lanczos')

_PROBABILITY = number(minimum=0, maximum=1)
_SIGMAS = numbers({'type': 'number', 'exclusiveMinimum': 0, 'maximum': 10}, 2, 2)
_DEVIATIONS = numbers({'type': 'number', 'minimum': 0, 'maximum': 255}, 2, 2)
_QUALITIES = numbers({'type': 'number', 'minimum': 1, 'maximum': 100}, 2, 2)
_WEIGHTS = numbers({'type': 'number', 'minimum': 0}, 1)
_KERNELS: Kind[list[str]] = Kind({'type': 'array', 'items': {'enum': list(KERNELS)}, 'minItems': 1})
_RESIZES: Kind[list[str]] = Kind({'type': 'array', 'items': {'enum': list(RESIZES)}, 'minItems': 1})


class DegradedImageOptions(Section):
    """A data set of GT images, of which LQ patches are made while training."""

    place = 'datasets: NAME'
    read_by = (DEGRADED_IMAGES,)

    clean_prob = Option(
        _PROBABILITY,
        "Share of the samples that stay clean: made smaller by MATLAB's bicubic interpolation, no more. The other "
        'probabilities are of the samples that are left.',
        Needed.ALWAYS,
    )
    blur_prob = Option(_PROBABILITY, 'How often the GT patch is blurred.', Needed.ALWAYS)
    kernel_list = Option(_KERNELS, 'Kinds of kernels that blur.', Needed.ALWAYS)
    kernel_prob = Option(_WEIGHTS, 'A weight for each kind.', Needed.ALWAYS)
    blur_sigma = Option(_SIGMAS, 'Standard deviations of these kernels in GT pixels.', Needed.ALWAYS)
    resize_list = Option(
        _RESIZES,
        "Kernels that make the patch smaller: bicubic is MATLAB's, the others are OpenCV's, of which area alone "
        'averages.',
        Needed.ALWAYS,
    )
    resize_list_prob = Option(_WEIGHTS, 'A weight for each of them.', Needed.ALWAYS)
    noise_prob = Option(_PROBABILITY, 'How often Gaussian noise is added to the LQ patch.', Needed.ALWAYS)
    noise_range = Option(_DEVIATIONS, 'Its standard deviations, of 255.', Needed.ALWAYS)
    gray_noise_prob = Option(_PROBABILITY, 'How often it is alike in all channels.', Needed.ALWAYS)
    jpeg_prob = Option(_PROBABILITY, 'How often the LQ patch is JPEG-compressed, after the noise.', Needed.ALWAYS)
    jpeg_range = Option(_QUALITIES, "JPEG's qualities.", Needed.ALWAYS)

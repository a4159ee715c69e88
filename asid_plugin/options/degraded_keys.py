"""Keys of `DegradedImageDataset`, which degrades GT images during training."""

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
    """A data set of GT images, whose LQ patches are made during training."""

    place = 'datasets: NAME'
    read_by = (DEGRADED_IMAGES,)

    clean_prob = Option(
        _PROBABILITY,
        "Share of clean samples, which are only made smaller by MATLAB's bicubic interpolation. The other "
        'probabilities are shares of the remaining samples.',
        Needed.ALWAYS,
    )
    blur_prob = Option(_PROBABILITY, 'Share of blurred GT patches.', Needed.ALWAYS)
    kernel_list = Option(_KERNELS, 'Kinds of blur kernels.', Needed.ALWAYS)
    kernel_prob = Option(_WEIGHTS, 'A weight for each kind.', Needed.ALWAYS)
    blur_sigma = Option(_SIGMAS, 'Standard deviations of these kernels in GT pixels.', Needed.ALWAYS)
    resize_list = Option(
        _RESIZES,
        "Kernels that make the patch smaller: bicubic is MATLAB's, the others are OpenCV's. Only bicubic and area "
        'average over the pixels.',
        Needed.ALWAYS,
    )
    resize_list_prob = Option(_WEIGHTS, 'A weight for each kernel.', Needed.ALWAYS)
    noise_prob = Option(_PROBABILITY, 'Share of LQ patches with Gaussian noise.', Needed.ALWAYS)
    noise_range = Option(_DEVIATIONS, 'Standard deviations of the noise, of 255.', Needed.ALWAYS)
    gray_noise_prob = Option(_PROBABILITY, 'Share of noise that is equal in all channels.', Needed.ALWAYS)
    jpeg_prob = Option(_PROBABILITY, 'Share of LQ patches that are JPEG-compressed, after the noise.', Needed.ALWAYS)
    jpeg_range = Option(_QUALITIES, 'Qualities of JPEG.', Needed.ALWAYS)

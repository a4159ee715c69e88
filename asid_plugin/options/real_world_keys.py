"""BasicSR's keys for training with a discriminator, and on images that it degrades itself (Real-ESRGAN).

The defaults are those that BasicSR has in its code.
"""

from .declaration import Needed, Option, Section
from .kinds import FLAG, TEXT, Kind, component, count, number, numbers, or_none, whole

GANS = ('ESRGANModel', 'RealESRGANModel', 'SRGANModel')
"""Models with a discriminator."""
DEGRADING = ('RealESRGANModel', 'RealESRNetModel')
"""Models that make LQ images of the GT images while they train."""
DEGRADED = 'RealESRGANDataset'
"""The data set for them: GT images, and kernels to blur them with."""
REAL_PAIRED = 'RealESRGANPairedDataset'
"""`PairedImageDataset` with another list of the images."""
LOADED = (
    *('name', 'type', 'dataroot_gt', 'io_backend', 'use_hflip', 'use_rot', 'use_shuffle', 'num_worker_per_gpu'),
    *('batch_size_per_gpu', 'dataset_enlarge_ratio', 'prefetch_mode', 'num_prefetch_queue', 'pin_memory'),
    'persistent_workers',
)
"""Keys of `DatasetOptions` that `RealESRGANDataset` has, too."""
KERNELS = ('iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso', 'plateau_aniso')
CROP = 400
"""Side in pixels of the crops that `RealESRGANDataset` gives; no key changes it."""

_PROBABILITY = number(minimum=0, maximum=1)
_THREE = numbers({'type': 'number', 'minimum': 0}, 3, 3)
_RANGE = numbers({'type': 'number', 'minimum': 0}, 2, 2)
_POSITIVE_RANGE = numbers({'type': 'number', 'exclusiveMinimum': 0}, 2, 2)
_QUALITIES = numbers({'type': 'number', 'minimum': 1, 'exclusiveMaximum': 100}, 2, 2)
_KERNELS: Kind[list[str]] = Kind({'type': 'array', 'items': {'enum': list(KERNELS)}, 'minItems': 1})
_WEIGHTS = numbers({'type': 'number', 'minimum': 0}, 1)


class GANGeneralOptions(Section):
    """Keys at the top."""

    place = ''
    read_by = GANS

    network_d = Option(component('network'), 'The discriminator: its type and arguments.', Needed.TRAINING)


class GANPathOptions(Section):
    """Files to start from."""

    place = 'path'
    read_by = GANS

    pretrain_network_d = Option(or_none(TEXT), "The discriminator's weights to start from.", default=None)
    param_key_d = Option(or_none(TEXT), "Which of a checkpoint's state dicts to take for it.", default='params')
    strict_load_d = Option(FLAG, 'All its weights must be there and fit.', default=True)


class GANTrainOptions(Section):
    """How to train."""

    place = 'train'
    read_by = GANS

    optim_d = Option(component('adam'), "The discriminator's optimizer: type and arguments.", Needed.TRAINING)
    gan_opt = Option(component('loss'), 'Loss of the discriminator, and against it.', Needed.TRAINING)
    ldl_opt = Option(
        or_none(component('loss')), 'Loss where the output has artifacts; needs ema_decay above 0.', default=None
    )
    net_d_iters = Option(whole(1), 'The generator is trained in each such iteration only.', default=1)
    net_d_init_iters = Option(count(0), 'Iterations at the beginning that train the discriminator alone.', default=0)


class DegradationOptions(Section):
    """Keys at the top: how LQ images are made of GT images, in two passes."""

    place = ''
    read_by = DEGRADING

    high_order_degradation = Option(
        FLAG, 'Degrade the images; false trains on pairs, and needs none of the keys of degradations.', default=True
    )
    queue_size = Option(whole(1), 'Pairs from which batches are mixed, a multiple of batch_size_per_gpu.', default=180)
    gt_size = Option(whole(1), f'Side of the GT patches in pixels, a multiple of scale, up to {CROP}.', Needed.TRAINING)
    resize_prob = Option(_THREE, 'Weights of enlarging, reducing and keeping the size.', Needed.TRAINING)
    resize_range = Option(_POSITIVE_RANGE, 'Smallest factor of reducing, largest of enlarging.', Needed.TRAINING)
    gaussian_noise_prob = Option(_PROBABILITY, 'How often noise is Gaussian; else it is Poisson.', Needed.TRAINING)
    noise_range = Option(_RANGE, 'Standard deviations of Gaussian noise, of 255.', Needed.TRAINING)
    poisson_scale_range = Option(_RANGE, 'Factors of Poisson noise.', Needed.TRAINING)
    gray_noise_prob = Option(_PROBABILITY, 'How often noise is alike in all channels.', Needed.TRAINING)
    jpeg_range = Option(_QUALITIES, "JPEG's qualities.", Needed.TRAINING)
    second_blur_prob = Option(_PROBABILITY, 'How often the second pass blurs.', Needed.TRAINING)
    resize_prob2 = Option(_THREE, 'As resize_prob, of the second pass.', Needed.TRAINING)
    resize_range2 = Option(_POSITIVE_RANGE, 'As resize_range, of the second pass.', Needed.TRAINING)
    gaussian_noise_prob2 = Option(_PROBABILITY, 'As gaussian_noise_prob, of the second pass.', Needed.TRAINING)
    noise_range2 = Option(_RANGE, 'As noise_range, of the second pass.', Needed.TRAINING)
    poisson_scale_range2 = Option(_RANGE, 'As poisson_scale_range, of the second pass.', Needed.TRAINING)
    gray_noise_prob2 = Option(_PROBABILITY, 'As gray_noise_prob, of the second pass.', Needed.TRAINING)
    jpeg_range2 = Option(_QUALITIES, 'As jpeg_range, of the second pass.', Needed.TRAINING)


class RealESRNetOptions(Section):
    """Keys at the top."""

    place = ''
    read_by = ('RealESRNetModel',)

    gt_usm = Option(FLAG, 'Sharpen the GT images.', Needed.TRAINING)


class RealESRGANOptions(Section):
    """Keys at the top."""

    place = ''
    read_by = ('RealESRGANModel',)

    l1_gt_usm = Option(FLAG, 'Compare pixels with sharpened GT images.', Needed.TRAINING)
    percep_gt_usm = Option(FLAG, 'Compare features with those of sharpened GT images.', Needed.TRAINING)
    gan_gt_usm = Option(FLAG, 'Show the discriminator sharpened GT images.', Needed.TRAINING)


class DegradedDatasetOptions(Section):
    """A data set of GT images and kernels."""

    place = 'datasets: NAME'
    read_by = (DEGRADED,)

    meta_info = Option(
        or_none(TEXT), 'List of the images, one a line: the name in dataroot_gt. An LMDB has its own.', default=None
    )
    gt_size = Option(whole(1), "Not read: the model's gt_size counts.", default=None)
    blur_kernel_size = Option(whole(1), 'Needed, and changes nothing: kernels have 7 to 21 pixels.', Needed.ALWAYS)
    kernel_list = Option(_KERNELS, 'Kinds of kernels.', Needed.ALWAYS)
    kernel_prob = Option(_WEIGHTS, 'A weight for each kind.', Needed.ALWAYS)
    sinc_prob = Option(_PROBABILITY, 'How often the kernel is a sinc filter.', Needed.ALWAYS)
    blur_sigma = Option(_POSITIVE_RANGE, 'Standard deviations of the kernels in pixels.', Needed.ALWAYS)
    betag_range = Option(_POSITIVE_RANGE, 'Exponents of generalized kernels.', Needed.ALWAYS)
    betap_range = Option(_POSITIVE_RANGE, 'Exponents of plateau kernels.', Needed.ALWAYS)
    blur_kernel_size2 = Option(whole(1), 'As blur_kernel_size, of the second pass.', Needed.ALWAYS)
    kernel_list2 = Option(_KERNELS, 'As kernel_list, of the second pass.', Needed.ALWAYS)
    kernel_prob2 = Option(_WEIGHTS, 'As kernel_prob, of the second pass.', Needed.ALWAYS)
    sinc_prob2 = Option(_PROBABILITY, 'As sinc_prob, of the second pass.', Needed.ALWAYS)
    blur_sigma2 = Option(_POSITIVE_RANGE, 'As blur_sigma, of the second pass.', Needed.ALWAYS)
    betag_range2 = Option(_POSITIVE_RANGE, 'As betag_range, of the second pass.', Needed.ALWAYS)
    betap_range2 = Option(_POSITIVE_RANGE, 'As betap_range, of the second pass.', Needed.ALWAYS)
    final_sinc_prob = Option(_PROBABILITY, 'How often a sinc filter comes last.', Needed.ALWAYS)


class RealPairedDatasetOptions(Section):
    """A data set of pairs of images."""

    place = 'datasets: NAME'
    read_by = (REAL_PAIRED,)

    meta_info = Option(
        or_none(TEXT),
        "List of the pairs, one a line: 'GT, LQ', names in the two folders; without it, all of the folder.",
        default=None,
    )


REAL_WORLD_SECTIONS: tuple[type[Section], ...] = (
    GANGeneralOptions,
    DegradationOptions,
    RealESRNetOptions,
    RealESRGANOptions,
    GANPathOptions,
    DegradedDatasetOptions,
    RealPairedDatasetOptions,
    GANTrainOptions,
)

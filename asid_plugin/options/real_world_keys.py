"""BasicSR's keys for training with a discriminator, and on images that it degrades (Real-ESRGAN).

The defaults are those in BasicSR's code.
"""

from .declaration import Needed, Option, Section
from .kinds import FLAG, TEXT, Kind, component, count, number, numbers, or_none, whole

GANS = ('ESRGANModel', 'RealESRGANModel', 'SRGANModel')
"""Models with a discriminator."""
DEGRADING = ('RealESRGANModel', 'RealESRNetModel')
"""Models that make LQ images from GT images during training."""
DEGRADED = 'RealESRGANDataset'
"""The data set for these models: GT images and blur kernels."""
REAL_PAIRED = 'RealESRGANPairedDataset'
"""`PairedImageDataset` with another kind of list of images."""
LOADED = (
    *('name', 'type', 'dataroot_gt', 'io_backend', 'use_hflip', 'use_rot', 'use_shuffle', 'num_worker_per_gpu'),
    *('batch_size_per_gpu', 'dataset_enlarge_ratio', 'prefetch_mode', 'num_prefetch_queue', 'pin_memory'),
    'persistent_workers',
)
"""Keys of `DatasetOptions` that `RealESRGANDataset` also has."""
KERNELS = ('iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso', 'plateau_aniso')
CROP = 400
"""Side in pixels of the crops of `RealESRGANDataset`; no key changes it."""

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
    param_key_d = Option(or_none(TEXT), 'Key of its state dict in the checkpoint.', default='params')
    strict_load_d = Option(FLAG, 'All its weights must be present and fit.', default=True)


class GANTrainOptions(Section):
    """How to train."""

    place = 'train'
    read_by = GANS

    optim_d = Option(component('adam'), "The discriminator's optimizer: type and arguments.", Needed.TRAINING)
    gan_opt = Option(component('loss'), 'Adversarial loss of discriminator and generator.', Needed.TRAINING)
    ldl_opt = Option(
        or_none(component('loss')), 'Loss on artefacts of the output; needs ema_decay above 0.', default=None
    )
    net_d_iters = Option(
        whole(1), 'Train the generator only in every iteration that is a multiple of this number.', default=1
    )
    net_d_init_iters = Option(count(0), 'Initial iterations that train only the discriminator.', default=0)


class DegradationOptions(Section):
    """Keys at the top: degradation of GT images to LQ images, in two passes."""

    place = ''
    read_by = DEGRADING

    high_order_degradation = Option(
        FLAG, 'Degrade images; false trains on pairs, without the keys of degradation.', default=True
    )
    queue_size = Option(
        whole(1), 'Number of pairs in the pool for batches, a multiple of batch_size_per_gpu.', default=180
    )
    gt_size = Option(whole(1), f'Side of the GT patches in pixels, a multiple of scale, up to {CROP}.', Needed.TRAINING)
    resize_prob = Option(_THREE, 'Weights of enlarging, reducing, and not resizing.', Needed.TRAINING)
    resize_range = Option(_POSITIVE_RANGE, 'Smallest factor of reducing and largest of enlarging.', Needed.TRAINING)
    gaussian_noise_prob = Option(
        _PROBABILITY, 'Probability of Gaussian noise; else it is Poisson noise.', Needed.TRAINING
    )
    noise_range = Option(_RANGE, 'Range of standard deviations of Gaussian noise, on a scale of 255.', Needed.TRAINING)
    poisson_scale_range = Option(_RANGE, 'Range of factors of Poisson noise.', Needed.TRAINING)
    gray_noise_prob = Option(_PROBABILITY, 'Probability of equal noise in all channels.', Needed.TRAINING)
    jpeg_range = Option(_QUALITIES, "JPEG's qualities.", Needed.TRAINING)
    second_blur_prob = Option(_PROBABILITY, 'Probability of blur in the second pass.', Needed.TRAINING)
    resize_prob2 = Option(_THREE, 'As resize_prob, for the second pass.', Needed.TRAINING)
    resize_range2 = Option(_POSITIVE_RANGE, 'As resize_range, for the second pass.', Needed.TRAINING)
    gaussian_noise_prob2 = Option(_PROBABILITY, 'As gaussian_noise_prob, for the second pass.', Needed.TRAINING)
    noise_range2 = Option(_RANGE, 'As noise_range, for the second pass.', Needed.TRAINING)
    poisson_scale_range2 = Option(_RANGE, 'As poisson_scale_range, for the second pass.', Needed.TRAINING)
    gray_noise_prob2 = Option(_PROBABILITY, 'As gray_noise_prob, for the second pass.', Needed.TRAINING)
    jpeg_range2 = Option(_QUALITIES, 'As jpeg_range, for the second pass.', Needed.TRAINING)


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
        or_none(TEXT),
        'File with the names of the images in dataroot_gt, one a line; not needed for an LMDB.',
        default=None,
    )
    gt_size = Option(whole(1), 'Ignored: gt_size at the top is used.', default=None)
    blur_kernel_size = Option(whole(1), 'Required, but without effect: kernels have 7 to 21 pixels.', Needed.ALWAYS)
    kernel_list = Option(_KERNELS, 'Kinds of kernels.', Needed.ALWAYS)
    kernel_prob = Option(_WEIGHTS, 'A weight for each kind.', Needed.ALWAYS)
    sinc_prob = Option(_PROBABILITY, 'Probability of a sinc filter as kernel.', Needed.ALWAYS)
    blur_sigma = Option(_POSITIVE_RANGE, 'Range of standard deviations of the kernels in pixels.', Needed.ALWAYS)
    betag_range = Option(_POSITIVE_RANGE, 'Range of exponents of generalized kernels.', Needed.ALWAYS)
    betap_range = Option(_POSITIVE_RANGE, 'Range of exponents of plateau kernels.', Needed.ALWAYS)
    blur_kernel_size2 = Option(whole(1), 'As blur_kernel_size, for the second pass.', Needed.ALWAYS)
    kernel_list2 = Option(_KERNELS, 'As kernel_list, for the second pass.', Needed.ALWAYS)
    kernel_prob2 = Option(_WEIGHTS, 'As kernel_prob, for the second pass.', Needed.ALWAYS)
    sinc_prob2 = Option(_PROBABILITY, 'As sinc_prob, for the second pass.', Needed.ALWAYS)
    blur_sigma2 = Option(_POSITIVE_RANGE, 'As blur_sigma, for the second pass.', Needed.ALWAYS)
    betag_range2 = Option(_POSITIVE_RANGE, 'As betag_range, for the second pass.', Needed.ALWAYS)
    betap_range2 = Option(_POSITIVE_RANGE, 'As betap_range, for the second pass.', Needed.ALWAYS)
    final_sinc_prob = Option(_PROBABILITY, 'Probability of a final sinc filter.', Needed.ALWAYS)


class RealPairedDatasetOptions(Section):
    """A data set of pairs of images."""

    place = 'datasets: NAME'
    read_by = (REAL_PAIRED,)

    meta_info = Option(
        or_none(TEXT),
        "File with the pairs, one a line: 'GT, LQ', names in the two folders; by default all images of the folder.",
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

"""BasicSR's keys for models with known keys, with the defaults in BasicSR's code."""

from asid_plugin.compat.dist_params import BACKENDS, LONGEST_WAIT

from .declaration import Needed, Option, Section
from .kinds import (
    ANY,
    FLAG,
    LIST,
    SECTION,
    TEXT,
    Kind,
    component,
    components,
    count,
    either,
    name_of,
    number,
    numbers,
    one_of,
    or_none,
    part_of_path,
    template,
    typed_section,
    whole,
)
from .problems import Options

RAW = 'RawPairedImageDataset'
BASICSR_PAIRED = 'PairedImageDataset'
PAIRED = (BASICSR_PAIRED, 'CachedPairedImageDataset', RAW)
"""Datasets with known keys."""


WANDB: Kind[Options] = Kind(
    {'type': 'object', 'properties': {name: or_none(TEXT).schema for name in ('project', 'resume_id')}}
)


class GeneralOptions(Section):
    """Keys at the top."""

    place = ''

    name = Option(
        part_of_path(slashes=False),
        'Name of the folder in experiments/ (training) or results/ (testing).',
        Needed.ALWAYS,
    )
    model_type = Option(name_of('model'), 'Class that trains and tests the network.', Needed.ALWAYS)
    scale = Option(whole(1), 'Scale k, equal to upscale of network_g.', Needed.ALWAYS)
    num_gpu = Option(
        either(one_of('auto'), whole(0)),
        'Number of GPUs; auto takes all visible ones, or the CPU if there are none.',
        Needed.ALWAYS,
    )
    manual_seed = Option(whole(0, 2**31), 'Seed of all random numbers; random by default.', default=None)
    datasets = Option(
        SECTION,
        'train and val in training, test in testing; val_1, val_2 ... for several sets.',
        Needed.ALWAYS,
    )
    network_g = Option(component('network'), 'The network: its type and arguments.', Needed.ALWAYS)
    path = Option(SECTION, 'Files to start from.', Needed.ALWAYS)
    train = Option(SECTION, 'How to train.', Needed.TRAINING)
    val = Option(or_none(SECTION), 'How to validate or test.', Needed.TESTING)
    logger = Option(SECTION, 'Reports and files of a training.', Needed.TRAINING)
    dist_params = Option(SECTION, 'Communication of several processes.', default=None)
    find_unused_parameters = Option(FLAG, 'Argument of DistributedDataParallel; not needed for ASID.', default=False)
    plugin = Option(ANY, 'Not needed. Imports asid_plugin if its start-up hook is not installed.', default=None)


class PathOptions(Section):
    """Files to start from."""

    place = 'path'

    pretrain_network_g = Option(
        or_none(TEXT),
        'Weights to start from, or to test: a checkpoint, or packaged:xK, the packaged weights of scale K, or '
        'packaged:xK-real, those for JPEG-compressed or noisy photographs, if the package has them.',
        default=None,
    )
    param_key_g = Option(
        or_none(TEXT), 'Key of the state dict in the checkpoint, such as params or params_ema.', default='params'
    )
    strict_load_g = Option(
        FLAG, 'All weights must be present and fit; false skips weights that do not fit.', default=True
    )
    resume_state = Option(
        or_none(TEXT), 'Training state to resume from; --auto_resume finds the last one.', default=None
    )
    ignore_resume_networks = Option(
        either(LIST, TEXT), 'Networks that do not take their weights from the resumed training.', default=None
    )


class DistOptions(Section):
    """Communication of several processes."""

    place = 'dist_params'

    backend = Option(one_of(*BACKENDS), 'Backend of communication; gloo on machines without CUDA.', default=BACKENDS[0])
    port = Option(
        whole(1), 'Port of the first process, with --launcher slurm; torchrun has --master-port.', default=29500
    )
    timeout = Option(
        number(minimum=1, maximum=LONGEST_WAIT),
        'Timeout of communication in seconds; by default 600 with nccl, 1800 with gloo.',
        default=None,
    )


class DatasetOptions(Section):
    """A data set of pairs of images."""

    place = 'datasets: NAME'

    type = Option(
        one_of(*PAIRED),
        'Class that reads the images: PairedImageDataset decodes them each time, CachedPairedImageDataset holds the '
        'pixels in memory, RawPairedImageDataset memory-maps LMDBs of raw pixels (for NAME.lmdb, NAME_raw.lmdb beside '
        'it), DegradedImageDataset degrades GT images at random, for training. Images of other classes are not '
        'checked.',
        Needed.ALWAYS,
    )
    name = Option(part_of_path(slashes=True), 'Name in logs, tables and folders.', Needed.ALWAYS)
    dataroot_gt = Option(TEXT, 'Folder or LMDB of the GT images.', Needed.ALWAYS)
    dataroot_lq = Option(TEXT, 'Folder or LMDB of the LQ images.', Needed.ALWAYS)
    io_backend = Option(
        typed_section('disk', 'lmdb'), 'disk reads folders of image files, lmdb reads LMDBs.', Needed.ALWAYS
    )
    meta_info_file = Option(
        or_none(TEXT),
        'File with the names of the GT images, one a line; by default all images of the folder.',
        default=None,
    )
    color = Option(or_none(one_of('y')), 'y for luma only.', default=None)
    mean = Option(
        or_none(numbers({'type': 'number'}, 1, 3)), 'Mean of each channel, which is subtracted.', default=None
    )
    std = Option(
        or_none(numbers({'type': 'number', 'exclusiveMinimum': 0}, 1, 3)), 'Divisor of each channel.', default=None
    )
    filename_tmpl = Option(
        template('{}x2'), 'Pattern of the names of LQ images; {} is the name of the GT image.', default='{}'
    )
    gt_size = Option(whole(1), 'Side of the GT patches in pixels, a multiple of scale.', Needed.TRAINING)
    use_hflip = Option(FLAG, 'Flip patches at random.', Needed.TRAINING)
    use_rot = Option(FLAG, 'Rotate patches by 90 degrees at random.', Needed.TRAINING)
    use_shuffle = Option(FLAG, 'Ignored: BasicSR always shuffles the images of each epoch.', default=None)
    num_worker_per_gpu = Option(
        whole(0), 'Number of data-loading processes for each training process.', Needed.TRAINING
    )
    batch_size_per_gpu = Option(whole(1), 'Patches in a batch for each training process.', Needed.TRAINING)
    dataset_enlarge_ratio = Option(count(1, 10**7), 'Number of times that an epoch draws each image.', default=1)
    prefetch_mode = Option(
        or_none(one_of('cpu', 'cuda')),
        'Prefetch batches: cpu by a thread, cuda to the GPU.',
        default=None,
    )
    num_prefetch_queue = Option(whole(1, 1024), 'Number of prefetched batches, for prefetch_mode: cpu.', default=1)
    pin_memory = Option(FLAG, 'Load into pinned memory, from which a GPU copies faster.', default=False)
    persistent_workers = Option(FLAG, 'Reuse the workers in all epochs.', default=False)


class TrainOptions(Section):
    """How to train."""

    place = 'train'

    ema_decay = Option(
        number(minimum=0, exclusiveMaximum=1),
        'Decay of the running average of the weights, which is tested instead of them; 0 for none.',
        default=0,
    )
    optim_g = Option(SECTION, 'The optimizer: its type and arguments.', Needed.ALWAYS)
    scheduler = Option(component('scheduler'), 'Schedule of the learning rate: type and arguments.', Needed.ALWAYS)
    pixel_opt = Option(or_none(component('loss')), 'Loss between pixels.', default=None)
    perceptual_opt = Option(or_none(component('loss')), 'Loss between features of VGG.', default=None)
    total_iter = Option(count(1, 10**9), 'Number of iterations.', Needed.ALWAYS)
    warmup_iter = Option(count(-1), 'Iterations of warm-up of the learning rate; -1 for none.', default=-1)


class ValOptions(Section):
    """How to validate or test."""

    place = 'val'

    val_freq = Option(count(1), 'Iterations between validations.', Needed.TRAINING)
    save_img = Option(FLAG, 'Write the images.', Needed.ALWAYS)
    pbar = Option(FLAG, 'Show a progress bar.', default=False)
    metrics = Option(
        or_none(components('metric')),
        'The metrics, each under a name: type and arguments.',
        default=None,
    )
    suffix = Option(
        or_none(part_of_path(slashes=False)),
        'Suffix of the names of written images; ~ for the name of the experiment.',
        default=None,
    )


class MetricOptions(Section):
    """The keys of every metric besides its type and arguments."""

    place = 'val: metrics: NAME'

    better = Option(one_of('higher', 'lower'), 'Whether higher or lower values are better.', default='higher')


class LoggerOptions(Section):
    """Reports and files of a training."""

    place = 'logger'

    print_freq = Option(count(1), 'Iterations between lines of the log.', Needed.ALWAYS)
    save_checkpoint_freq = Option(count(1), 'Iterations between checkpoints.', Needed.ALWAYS)
    use_tb_logger = Option(FLAG, 'Log for TensorBoard.', Needed.ALWAYS)
    wandb = Option(or_none(WANDB), 'Log to Weights & Biases: project, resume_id.', default=None)


BASICSR_SECTIONS: tuple[type[Section], ...] = (
    GeneralOptions,
    PathOptions,
    DistOptions,
    DatasetOptions,
    TrainOptions,
    ValOptions,
    MetricOptions,
    LoggerOptions,
)

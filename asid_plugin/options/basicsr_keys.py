"""BasicSR's keys, of the models whose every key is known here; the defaults are those that BasicSR has in its code."""

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
"""Datasets whose every key is known here."""


WANDB: Kind[Options] = Kind(
    {'type': 'object', 'properties': {name: or_none(TEXT).schema for name in ('project', 'resume_id')}}
)


class GeneralOptions(Section):
    """Keys at the top."""

    place = ''

    name = Option(
        part_of_path(slashes=False), 'Names the folder in experiments/ (training) or results/ (testing).', Needed.ALWAYS
    )
    model_type = Option(name_of('model'), 'Class that trains and tests the network.', Needed.ALWAYS)
    scale = Option(whole(1), 'Scale k; upscale of network_g is the same.', Needed.ALWAYS)
    num_gpu = Option(
        either(one_of('auto'), whole(0)),
        'auto takes all that are visible, or the CPU where there is none.',
        Needed.ALWAYS,
    )
    manual_seed = Option(whole(0, 2**31), 'Seed of all random numbers; a random one without it.', default=None)
    datasets = Option(
        SECTION,
        'train and val in training, test in testing; val_1, val_2 ... where there are several.',
        Needed.ALWAYS,
    )
    network_g = Option(component('network'), 'The network: its type and arguments.', Needed.ALWAYS)
    path = Option(SECTION, 'Files to start from.', Needed.ALWAYS)
    train = Option(SECTION, 'How to train.', Needed.TRAINING)
    val = Option(or_none(SECTION), 'How to validate or test.', Needed.TESTING)
    logger = Option(SECTION, 'Reports and files of a training.', Needed.TRAINING)
    dist_params = Option(SECTION, 'How several processes find each other.', default=None)
    find_unused_parameters = Option(FLAG, "DistributedDataParallel's; not needed for ASID.", default=False)
    plugin = Option(
        ANY, 'Not needed: a line that imports asid_plugin where its start-up hook is not installed.', default=None
    )


class PathOptions(Section):
    """Files to start from."""

    place = 'path'

    pretrain_network_g = Option(
        or_none(TEXT),
        "Weights to start from, or to test: a checkpoint, or packaged:xK for the package's own of that scale, "
        'packaged:xK-real for those for photographs as they are, where it has some.',
        default=None,
    )
    param_key_g = Option(
        or_none(TEXT), "Which of a checkpoint's state dicts to take, such as params or params_ema.", default='params'
    )
    strict_load_g = Option(FLAG, 'All weights must be there and fit; false takes what fits.', default=True)
    resume_state = Option(
        or_none(TEXT), 'Training state to go on from; --auto_resume finds the last one.', default=None
    )
    ignore_resume_networks = Option(
        either(LIST, TEXT), 'Networks whose weights resume_state leaves as they are.', default=None
    )


class DistOptions(Section):
    """How several processes find each other."""

    place = 'dist_params'

    backend = Option(one_of(*BACKENDS), 'How they talk; gloo on machines without CUDA.', default=BACKENDS[0])
    port = Option(whole(1), "Of the first process, with --launcher slurm; torchrun's is --master-port.", default=29500)
    timeout = Option(
        number(minimum=1, maximum=LONGEST_WAIT),
        'Seconds that they wait for each other before they give up; by default 600 with nccl, 1800 with gloo.',
        default=None,
    )


class DatasetOptions(Section):
    """A data set of pairs of images."""

    place = 'datasets: NAME'

    type = Option(
        one_of(*PAIRED),
        'Class that reads the images: PairedImageDataset decodes each time, CachedPairedImageDataset keeps the pixels '
        'in memory, RawPairedImageDataset maps LMDBs of raw pixels: of NAME.lmdb the NAME_raw.lmdb beside it. '
        'DegradedImageDataset, for training, degrades GT images at random. The images of other classes are not '
        'checked.',
        Needed.ALWAYS,
    )
    name = Option(part_of_path(slashes=True), 'Its name in logs, tables and folders.', Needed.ALWAYS)
    dataroot_gt = Option(TEXT, 'Folder or LMDB of the GT images.', Needed.ALWAYS)
    dataroot_lq = Option(TEXT, 'Folder or LMDB of the LQ images.', Needed.ALWAYS)
    io_backend = Option(
        typed_section('disk', 'lmdb'), 'disk reads folders of image files, lmdb reads LMDBs.', Needed.ALWAYS
    )
    meta_info_file = Option(
        or_none(TEXT), "List of the GT images' names, one a line; without it, all of the folder.", default=None
    )
    color = Option(or_none(one_of('y')), 'y gives the luma only.', default=None)
    mean = Option(or_none(numbers({'type': 'number'}, 1, 3)), 'Subtracted from each channel.', default=None)
    std = Option(
        or_none(numbers({'type': 'number', 'exclusiveMinimum': 0}, 1, 3)), 'Divides each channel.', default=None
    )
    filename_tmpl = Option(
        template('{}x2'), "Names of the LQ images, with {} in the place of the GT's name.", default='{}'
    )
    gt_size = Option(whole(1), 'Side of the GT patches in pixels, a multiple of scale.', Needed.TRAINING)
    use_hflip = Option(FLAG, 'Flip patches at random.', Needed.TRAINING)
    use_rot = Option(FLAG, 'Turn patches by 90 degrees at random.', Needed.TRAINING)
    use_shuffle = Option(FLAG, 'Not read: BasicSR shuffles the images each epoch in any case.', default=None)
    num_worker_per_gpu = Option(whole(0), 'Processes that load data, for each process that trains.', Needed.TRAINING)
    batch_size_per_gpu = Option(whole(1), 'Patches in a batch, for each process that trains.', Needed.TRAINING)
    dataset_enlarge_ratio = Option(count(1, 10**7), 'How often an epoch draws each image.', default=1)
    prefetch_mode = Option(
        or_none(one_of('cpu', 'cuda')),
        'Fetch the next batches ahead: cpu with a thread, cuda onto the GPU.',
        default=None,
    )
    num_prefetch_queue = Option(whole(1, 1024), 'Batches that prefetch_mode: cpu holds.', default=1)
    pin_memory = Option(FLAG, 'Load into memory from which a GPU copies faster.', default=False)
    persistent_workers = Option(FLAG, 'Keep the workers from epoch to epoch.', default=False)


class TrainOptions(Section):
    """How to train."""

    place = 'train'

    ema_decay = Option(
        number(minimum=0, exclusiveMaximum=1),
        'Decay of the running average of the weights; the average is then tested in their place. 0 for none.',
        default=0,
    )
    optim_g = Option(SECTION, 'The optimizer: its type and arguments.', Needed.ALWAYS)
    scheduler = Option(component('scheduler'), 'How the learning rate falls: type and arguments.', Needed.ALWAYS)
    pixel_opt = Option(or_none(component('loss')), 'Loss between pixels.', default=None)
    perceptual_opt = Option(or_none(component('loss')), 'Loss between features of VGG.', default=None)
    total_iter = Option(count(1, 10**9), 'Iterations in all.', Needed.ALWAYS)
    warmup_iter = Option(count(-1), 'Iterations over which the learning rate rises; -1 for none.', default=-1)


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
        "Last part of the written images' names; the experiment's name if ~.",
        default=None,
    )


class MetricOptions(Section):
    """The keys of every metric besides its type and arguments."""

    place = 'val: metrics: NAME'

    better = Option(one_of('higher', 'lower'), 'Which of two values is better.', default='higher')


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

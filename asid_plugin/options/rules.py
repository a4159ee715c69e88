"""What the keys of an option file may be: BasicSR's, for the models that are known here, and this package's.

Each rule is a JSON Schema; those that depend on what is registered are definitions that `schema` makes.
"""

from docstring_parser.google import GoogleParser, Section, SectionType

from asid_plugin.models.asid_model import AMP_DTYPES, ASIDModel

from .signatures import Schema

FLAG: Schema = {'type': 'boolean'}
TEXT: Schema = {'type': 'string', 'minLength': 1}
SECTION: Schema = {'type': 'object'}
SECTION_OR_NONE: Schema = {'type': ['object', 'null']}


def refer(name: str) -> Schema:
    """Schema that is a definition; in an `allOf`, beside which draft 7 allows other keywords."""
    return {'allOf': [{'$ref': f'#/definitions/{name}'}]}


def _one_of(*values: str) -> Schema:
    return {'enum': list(values)}


def _whole(least: int) -> Schema:
    return {'type': 'integer', 'minimum': least}


def _count(least: int) -> Schema:
    # As _whole, but 5000.0 will do: BasicSR's own files count iterations in !!float.
    return {'type': 'number', 'multipleOf': 1, 'minimum': least}


def _or_none(schema: Schema) -> Schema:
    return {'anyOf': [schema, {'type': 'null'}]}


def _rules(**rules: tuple[Schema, str]) -> dict[str, Schema]:
    return {key: {**schema, 'description': description} for key, (schema, description) in rules.items()}


def _asid_rules(title: str, **rules: Schema) -> dict[str, Schema]:
    """Rules of the keys that `ASIDModel` describes in a section of its docstring."""
    texts = {entry.args[1].partition(' ')[0]: entry.description for entry in _ASID_OPTIONS if entry.args[0] == title}
    return _rules(**{key: (schema, ' '.join(texts.get(key, '').split())) for key, schema in rules.items()})


_BACKEND = {
    'anyOf': [{**SECTION, 'required': ['type'], 'properties': {'type': {'const': kind}}} for kind in ('disk', 'lmdb')]
}
_LOSS = {**SECTION_OR_NONE, **refer('loss')}
_AMP = _or_none(_one_of(*AMP_DTYPES))

GENERAL = _rules(
    name=(TEXT, 'Names the folder in experiments/ (training) or results/ (testing).'),
    model_type=({'type': 'string', **refer('model')}, 'Class that trains and tests the network.'),
    scale=(_whole(1), 'Scale k; upscale of network_g is the same.'),
    num_gpu=(
        {'anyOf': [_one_of('auto'), _whole(0)]},
        'auto takes all that are visible, or the CPU where there is none.',
    ),
    manual_seed=(_whole(0), 'Seed of all random numbers; a random one without it.'),
    datasets=(SECTION, 'train and val in training, test in testing; val_1, val_2 ... where there are several.'),
    network_g=({**SECTION, **refer('network')}, 'The network: its type and arguments.'),
    path=(SECTION, 'Files to start from.'),
    train=(SECTION, 'How to train.'),
    val=(SECTION_OR_NONE, 'How to validate or test.'),
    logger=(SECTION, 'What to report and save in training.'),
    dist_params=(SECTION, 'How several processes find each other: backend, port.'),
    find_unused_parameters=(FLAG, "DistributedDataParallel's; not needed for ASID."),
    plugin=({}, 'Not needed: a line that imports asid_plugin where its start-up hook is not installed.'),
)
PATH = _rules(
    pretrain_network_g=(
        _or_none(TEXT),
        "Weights to start from, or to test: a checkpoint, or packaged:xK for the package's own of that scale.",
    ),
    param_key_g=(_or_none(TEXT), "Which of a checkpoint's state dicts to take, such as params or params_ema."),
    strict_load_g=(FLAG, 'All weights must be there and fit; false takes what fits.'),
    resume_state=(_or_none(TEXT), 'Training state to go on from; --auto_resume finds the last one.'),
    ignore_resume_networks=({}, 'Networks whose weights resume_state leaves as they are.'),
)
DATASET = _rules(
    name=(TEXT, 'Its name in logs, tables and folders.'),
    dataroot_gt=(TEXT, 'Folder or LMDB of the GT images.'),
    dataroot_lq=(TEXT, 'Folder or LMDB of the LQ images.'),
    io_backend=(_BACKEND, 'disk reads folders of image files, lmdb reads LMDBs.'),
    meta_info_file=(_or_none(TEXT), "List of the GT images' names, one a line; without it, all of the folder."),
    color=(_or_none(_one_of('y')), 'y gives the luma only.'),
    mean=({}, 'Subtracted from each channel.'),
    std=({}, 'Divides each channel.'),
    filename_tmpl=(
        {'type': 'string', 'pattern': r'\{\}', 'examples': ['{}x2']},
        "Names of the LQ images, with {} in the place of the GT's name.",
    ),
    gt_size=(_whole(1), 'Side of the GT patches in pixels, a multiple of scale.'),
    use_hflip=(FLAG, 'Flip patches at random.'),
    use_rot=(FLAG, 'Turn patches by 90 degrees at random.'),
    use_shuffle=(FLAG, 'Shuffle the images each epoch.'),
    num_worker_per_gpu=(_whole(0), 'Processes that load data, for each process that trains.'),
    batch_size_per_gpu=(_whole(1), 'Patches in a batch, for each process that trains.'),
    dataset_enlarge_ratio=(_count(1), 'How often an epoch draws each image.'),
    prefetch_mode=(
        _or_none(_one_of('cpu', 'cuda')),
        'Fetch the next batches ahead: cpu with a thread, cuda onto the GPU.',
    ),
    num_prefetch_queue=(_whole(1), 'Batches that prefetch_mode: cpu holds.'),
    pin_memory=(FLAG, 'Load into memory from which a GPU copies faster.'),
    persistent_workers=(FLAG, 'Keep the workers from epoch to epoch.'),
)
TRAIN = _rules(
    ema_decay=(
        {'type': 'number', 'minimum': 0, 'exclusiveMaximum': 1},
        'Decay of the running average of the weights, which is then what is tested; 0 for none.',
    ),
    optim_g=(SECTION, 'The optimizer: its type and arguments.'),
    scheduler=({**SECTION, **refer('scheduler')}, 'How the learning rate falls: type and arguments.'),
    pixel_opt=(_LOSS, 'Loss between pixels.'),
    perceptual_opt=(_LOSS, 'Loss between features of VGG.'),
    total_iter=(_count(1), 'Iterations in all.'),
    warmup_iter=(_count(-1), 'Iterations over which the learning rate rises; -1 for none.'),
)
VAL = _rules(
    val_freq=(_count(1), 'Iterations between validations.'),
    save_img=(FLAG, 'Write the images.'),
    pbar=(FLAG, 'Show a progress bar.'),
    metrics=(
        {**SECTION_OR_NONE, 'additionalProperties': {**SECTION, **refer('metric')}},
        'Under a name each, what to measure: type and arguments.',
    ),
    suffix=(_or_none(TEXT), "Last part of the written images' names; the experiment's name if ~."),
)
BETTER = {'enum': ['higher', 'lower'], 'default': 'higher', 'description': 'Which of two values is better.'}
LOGGER = _rules(
    print_freq=(_count(1), 'Iterations between lines of the log.'),
    save_checkpoint_freq=(_count(1), 'Iterations between checkpoints.'),
    use_tb_logger=(FLAG, 'Log for TensorBoard.'),
    wandb=(SECTION_OR_NONE, 'Log to Weights & Biases: project, resume_id.'),
)

# What ASIDModel reads and BasicSR's own models do not, by section.
_TITLES = (
    'Options at the top level',
    'Options under `train`',
    'Options under `val`',
    'Options under `logger`',
)
_ASID_OPTIONS = (
    GoogleParser([Section(title, title, SectionType.MULTIPLE) for title in _TITLES]).parse(ASIDModel.__doc__ or '').meta
)
ASID_GENERAL = _asid_rules(_TITLES[0], compile={'type': ['boolean', 'object']}, channels_last=FLAG)
ASID_TRAIN = _asid_rules(
    _TITLES[1],
    fft_opt=_LOSS,
    distill_opt=_LOSS,
    teacher=_or_none(TEXT),
    amp=_AMP,
    accumulate=_whole(1),
    grad_clip=_or_none({'type': 'number', 'exclusiveMinimum': 0}),
)
ASID_VAL = _asid_rules(
    _TITLES[2],
    tile=_or_none(_whole(16)),
    tile_overlap=_whole(0),
    tile_batch=_whole(1),
    self_ensemble=FLAG,
    amp=_AMP,
)
ASID_LOGGER = _asid_rules(_TITLES[3], safetensors=FLAG)

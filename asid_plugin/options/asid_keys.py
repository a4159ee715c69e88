"""Keys that `ASIDModel` reads besides BasicSR's. Importing this needs no torch and no BasicSR."""

from asid_plugin.tiles import BORDERS, OVERLAP, TILE_BATCH

from .declaration import Option, Section
from .kinds import FLAG, FLAG_OR_SECTION, TEXT, component, number, one_of, or_none, whole

AMP = ('bf16', 'fp16')
"""Types of autocast, in short."""


class ASIDGeneralOptions(Section):
    """Keys at the top."""

    place = ''
    read_by = ('ASIDModel',)

    compile = Option(
        FLAG_OR_SECTION,
        '`torch.compile` the network that is trained; a section is its arguments, such as mode. Testing does without, '
        'since every size of image would be compiled anew.',
        default=False,
    )
    channels_last = Option(
        FLAG,
        'Keep weights and images channels-last. ASID is so inside anyway; other networks gain.',
        default=False,
    )


class ASIDTrainOptions(Section):
    """How to train."""

    place = 'train'
    read_by = ('ASIDModel',)

    fft_opt = Option(or_none(component('loss')), 'Another loss, built like pixel_opt.', default=None)
    distill_opt = Option(
        or_none(component('loss')),
        "Another loss, between the output and the teacher's, built like pixel_opt.",
        default=None,
    )
    teacher = Option(
        or_none(TEXT),
        'Weights of a trained ASID of the same scale, of any width and depth; for distill_opt.',
        default=None,
    )
    amp = Option(
        or_none(one_of(*AMP)),
        'Autocast in training. Where fp16 overflows, the step is skipped; the 16th such iteration in a row ends it.',
        default=None,
    )
    tf32 = Option(
        FLAG,
        'Let a GPU train in TF32 where it computes in float32: faster and less exact. Testing is exact.',
        default=False,
    )
    accumulate = Option(
        whole(1),
        'Parts in which a batch goes through the network: the same gradient (of losses that are means), less memory. '
        'Not with the CUDA graphs of compile.',
        default=1,
    )
    grad_clip = Option(or_none(number(exclusiveMinimum=0)), 'Largest norm of the gradient.', default=None)


class DetailOptions(Section):
    """A data set that chooses its training patches."""

    place = 'datasets: NAME'
    read_by = ('RawPairedImageDataset', 'CachedPairedImageDataset', 'DegradedImageDataset')

    detail = Option(
        or_none(number(exclusiveMinimum=0, maximum=255)),
        'Choose training patches by their detail, the mean difference of 255 between a GT patch and its bicubic '
        'enlargement. From this value on, each patch is taken; below, a share of them, in proportion to the detail.',
        default=None,
    )


class ASIDValOptions(Section):
    """How to validate or test."""

    place = 'val'
    read_by = ('ASIDModel',)

    at_start = Option(
        FLAG, 'In training, validate before the first iteration too: a fine-tuning shows its gain.', default=False
    )
    tile = Option(or_none(whole(16)), 'Side of the test tiles in LR pixels; the whole image without it.', default=None)
    tile_overlap = Option(whole(0), 'LR pixels that neighbouring tiles share.', default=OVERLAP)
    tile_batch = Option(whole(1), 'Tiles that go through the network at once.', default=TILE_BATCH)
    borders = Option(
        one_of(*BORDERS),
        'flush: tiles are whole windows, flush with the borders, and fade into each other; an image below 16 pixels is '
        "mirrored. zeros: the network pads with zeros at the bottom and right, the paper's protocol. Networks without "
        'windows are run alike by both.',
        default='flush',
    )
    self_ensemble = Option(FLAG, 'Average over the eight flips and turns of the image.', default=False)
    amp = Option(or_none(one_of(*AMP)), 'Autocast in testing.', default=None)


class ASIDLoggerOptions(Section):
    """Reports and files of a training."""

    place = 'logger'
    read_by = ('ASIDModel',)

    safetensors = Option(
        FLAG, 'Write the weights as .safetensors, too, beside each .pth; the averaged ones, if any.', default=False
    )


ASID_SECTIONS: tuple[type[Section], ...] = (
    ASIDGeneralOptions,
    ASIDTrainOptions,
    ASIDValOptions,
    ASIDLoggerOptions,
)

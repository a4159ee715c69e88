"""Keys of `ASIDModel` in addition to BasicSR's. Importing this needs no torch and no BasicSR."""

from asid_plugin.tiles import BORDERS, OVERLAP, TILE_BATCH

from .declaration import Option, Section
from .kinds import FLAG, FLAG_OR_SECTION, TEXT, component, number, one_of, or_none, whole

AMP = ('bf16', 'fp16')
"""Short names of the types of autocast."""


class ASIDGeneralOptions(Section):
    """Keys at the top."""

    place = ''
    read_by = ('ASIDModel',)

    compile = Option(
        FLAG_OR_SECTION,
        'Train with `torch.compile`; a section holds its arguments, such as mode. Testing does not compile, because '
        'every image size would be recompiled.',
        default=False,
    )
    channels_last = Option(
        FLAG,
        'Use the channels-last memory format. ASID uses it internally anyway; other networks get faster.',
        default=False,
    )


class ASIDTrainOptions(Section):
    """How to train."""

    place = 'train'
    read_by = ('ASIDModel',)

    fft_opt = Option(or_none(component('loss')), 'Further loss, in the form of pixel_opt.', default=None)
    distill_opt = Option(
        or_none(component('loss')),
        'Further loss between the outputs of network and teacher, in the form of pixel_opt.',
        default=None,
    )
    teacher = Option(
        or_none(TEXT),
        'Weights of a trained ASID of the same scale, of any width and depth; for distill_opt.',
        default=None,
    )
    amp = Option(
        or_none(one_of(*AMP)),
        'Autocast in training. If fp16 overflows, the step is skipped; 16 such iterations in a row end the training.',
        default=None,
    )
    tf32 = Option(
        FLAG,
        'Use TF32 for float32 on a GPU in training: faster and less precise. Testing does not use it.',
        default=False,
    )
    accumulate = Option(
        whole(1),
        'Parts of a batch that pass through the network in turn: the same gradient (for losses that are means) with '
        'less memory. Not with the CUDA graphs of compile.',
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
        FLAG, 'In training, validate before the first iteration too, to show the gain of a fine-tuning.', default=False
    )
    tile = Option(or_none(whole(16)), 'Side of the test tiles in LR pixels; ~ for the whole image.', default=None)
    tile_overlap = Option(whole(0), 'Overlap of neighbouring tiles in LR pixels.', default=OVERLAP)
    tile_batch = Option(whole(1), 'Tiles in a batch.', default=TILE_BATCH)
    borders = Option(
        one_of(*BORDERS),
        'flush: blended tiles of whole windows, flush with the borders; an image below 16 pixels is mirrored. zeros: '
        'the network pads with zeros at the bottom and right, as in the paper. No effect on networks without windows.',
        default='flush',
    )
    self_ensemble = Option(FLAG, 'Average over the eight flips and rotations of the image.', default=False)
    amp = Option(or_none(one_of(*AMP)), 'Autocast in testing.', default=None)


class ASIDLoggerOptions(Section):
    """Reports and files of a training."""

    place = 'logger'
    read_by = ('ASIDModel',)

    safetensors = Option(
        FLAG, 'Write the weights (the averaged ones, if any) also as .safetensors beside each .pth.', default=False
    )


ASID_SECTIONS: tuple[type[Section], ...] = (
    ASIDGeneralOptions,
    ASIDTrainOptions,
    ASIDValOptions,
    ASIDLoggerOptions,
)

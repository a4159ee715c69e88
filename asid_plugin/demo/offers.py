"""The networks that the page offers, each with its purpose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from asid_plugin.checkpoints import is_packaged, load_asid, packaged_file, packaged_names
from asid_plugin.checkpoints.packaged import REAL, metadata, packaged_kind
from asid_plugin.inference import Upscaler, load_upscaler
from asid_plugin.layouts.state_dict import beyond_the_paper
from asid_plugin.printable import printable

from .pace import Pace

SHOWN = ('num_feat', 'num_block', 'window_size', 'sharing', 'distillation', 'channel_split')
"""Arguments of a network that the page names, besides those that the paper does not have."""


@dataclass(frozen=True)
class Offer:
    """A network that the page offers.

    Attributes:
        upscaler: The network.
        purpose: Which pictures it is for, as far as is known, in a sentence or two.
    """

    upscaler: Upscaler
    purpose: str

    @cached_property
    def pace(self) -> Pace:
        """How fast it is on this machine; measured when it is asked for the first time."""
        return Pace.measured(self.upscaler)

    def seconds(self, height: int, width: int) -> float:
        """How long enlarging a picture of this size takes."""
        return self.pace.seconds(self.upscaler, height, width)

    def learn(self, height: int, width: int, seconds: float) -> None:
        """Learn from an enlargement that took so many seconds."""
        self.pace.learn(self.upscaler, height, width, seconds)


Offers = Mapping[str, Offer]
"""Networks by the names that are shown."""


def load_offers(weights: Sequence[Path], **running: Any) -> Offers:
    """Load the networks that the page offers.

    The name of each is its file's, or its path where names are equal.

    Args:
        weights: Checkpoints of ASID; without any, the package's own.
        **running: As `load_upscaler`'s, for all of them.

    Raises:
        UsageError: The networks cannot be run in this way.
        CheckpointError: A file cannot be read or is not ASID's.
    """
    weights = weights or [Path(name) for name in packaged_names()]
    upscalers = [load_upscaler(path, **running) for path in weights]
    names = [path.name for path in weights]
    return {
        printable(path.name if names.count(path.name) == 1 else path): Offer(upscaler, purpose(path))
        for path, upscaler in zip(weights, upscalers, strict=True)
    }


def purpose(path: Path) -> str:
    """Say which pictures a checkpoint is for, or at least which network is in it.

    Raises:
        CheckpointError: As `load_asid`'s.
    """
    file = packaged_file(path) or path
    data = metadata(file).get('data') if file.suffix.lower() == '.safetensors' else None
    if is_packaged(path) and packaged_kind(path) == REAL:
        return (
            f'For photographs as they are, JPEG-compressed or noisy: trained on photographs ({data}) that were made '
            'smaller and degraded so. Of clean pictures the weights for those make more.'
        )
    if is_packaged(path):
        return (
            f'For clean photographs: trained on some 480 of them ({data}), made smaller by bicubic interpolation. '
            'Blocks of JPEG and noise become sharper, too.'
        )
    net = load_asid(path)
    num_params = sum(weight.numel() for weight in net.parameters())
    shown = ', '.join([*(f'{key} {net.arguments[key]}' for key in SHOWN), *beyond_the_paper(net.arguments)])
    trained = f'It was trained on {data}.' if data else 'The file does not say which pictures it was trained on.'
    return f'Your checkpoint {path.name}: ASID of {num_params:,} parameters ({shown}). {trained}'

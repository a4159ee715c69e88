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
"""Arguments of a network that the page shows, in addition to those beyond the paper."""


@dataclass(frozen=True)
class Offer:
    """A network that the page offers.

    Attributes:
        upscaler: The network.
        purpose: The suitable pictures, as far as known, in a sentence or two.
    """

    upscaler: Upscaler
    purpose: str

    @cached_property
    def pace(self) -> Pace:
        """The speed on this machine, measured at the first access."""
        return Pace.measured(self.upscaler)

    def seconds(self, height: int, width: int) -> float:
        """Estimate the seconds for a picture of this size."""
        return self.pace.seconds(self.upscaler, height, width)

    def learn(self, height: int, width: int, seconds: float) -> None:
        """Improve the estimate by an enlargement that took `seconds`."""
        self.pace.learn(self.upscaler, height, width, seconds)


Offers = Mapping[str, Offer]
"""Networks by their shown names."""


def load_offers(weights: Sequence[Path], **running: Any) -> Offers:
    """Load the networks that the page offers.

    The name of each network is its file name, or its path if file names are equal.

    Args:
        weights: Checkpoints of ASID; by default the packaged weights.
        **running: Arguments of `load_upscaler`, for all networks.

    Raises:
        UsageError: The networks cannot be run in this way.
        CheckpointError: A file cannot be read or is not an ASID.
    """
    weights = weights or [Path(name) for name in packaged_names()]
    upscalers = [load_upscaler(path, **running) for path in weights]
    names = [path.name for path in weights]
    return {
        printable(path.name if names.count(path.name) == 1 else path): Offer(upscaler, purpose(path))
        for path, upscaler in zip(weights, upscalers, strict=True)
    }


def purpose(path: Path) -> str:
    """Describe the suitable pictures of a checkpoint, or at least its network.

    Raises:
        CheckpointError: As `load_asid`'s.
    """
    file = packaged_file(path) or path
    data = metadata(file).get('data') if file.suffix.lower() == '.safetensors' else None
    if is_packaged(path) and packaged_kind(path) == REAL:
        return (
            f'For JPEG-compressed or noisy photographs: trained on {data}, degraded. For clean pictures, '
            'the other weights are better.'
        )
    if is_packaged(path):
        return (
            f'For clean photographs: trained on {data}, downscaled by bicubic interpolation. '
            'JPEG artefacts and noise are amplified.'
        )
    net = load_asid(path)
    num_params = sum(weight.numel() for weight in net.parameters())
    shown = ', '.join([*(f'{key} {net.arguments[key]}' for key in SHOWN), *beyond_the_paper(net.arguments)])
    trained = f'It was trained on {data}.' if data else 'The file does not name its training data.'
    return f'Your checkpoint {path.name}: ASID of {num_params:,} parameters ({shown}). {trained}'

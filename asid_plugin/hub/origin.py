"""Where a network's weights come from, by the metadata of their file."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

KEYS = ('data', 'iterations', 'license', 'options', 'options_sha256', 'param_key', 'results', 'terms')
"""Metadata that are kept; `asid_plugin/weights/README.md` explains them, but for `license` and `terms` of the data."""
LONGEST = 10_000
"""Characters of one of them."""


@dataclass(frozen=True)
class Origin:
    """The metadata of the file that weights come from, as far as `KEYS` name them.

    Attributes:
        metadata: Those of `KEYS` that it has.
        fingerprint: A checksum of the weights in the file; a network that was trained on has another.
    """

    metadata: Mapping[str, str]
    fingerprint: str

    @classmethod
    def of(cls, net: nn.Module, metadata: Mapping[str, str]) -> 'Origin':
        """The origin of a network that has just been loaded from a file with these metadata."""
        kept = {key: metadata[key] for key in KEYS if key in metadata and len(metadata[key]) <= LONGEST}
        return cls(kept, fingerprint(net))


def metadata_of(net: nn.Module) -> dict[str, str]:
    """The metadata of a network's weights; none if they have changed since, by training, say."""
    origin = getattr(net, 'origin', None)
    if not isinstance(origin, Origin) or origin.fingerprint != fingerprint(net):
        return {}
    return dict(origin.metadata)


def results_of(metadata: Mapping[str, str]) -> list[tuple[str, str, float, float]]:
    """The figures in metadata: rows of set, 'tiles' or 'whole', PSNR and SSIM; none where they are not understood."""
    try:
        by_set = json.loads(metadata.get('results', '{}'))
        rows = [
            (str(name), str(how), float(psnr), float(ssim))
            for name, by_how in by_set.items()
            for how, (psnr, ssim) in by_how.items()
        ]
    except (AttributeError, RecursionError, TypeError, ValueError):
        return []
    return [row for row in rows if all(map(math.isfinite, row[2:]))]


def fingerprint(net: nn.Module) -> str:
    """A checksum of a network's weights as float32; that of float16 weights stays the same when they are widened."""
    digest = hashlib.sha256()
    for key, value in net.state_dict().items():
        digest.update(f'{key} {tuple(value.shape)}'.encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()

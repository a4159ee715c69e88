"""The origin of the weights of a network, from the metadata of their file."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

KEYS = ('data', 'iterations', 'license', 'options', 'options_sha256', 'param_key', 'results', 'terms')
"""Supported metadata; `asid_plugin/weights/README.md` explains them, except `license` and `terms` of the data."""
LONGEST = 10_000
"""Most characters of a value."""


@dataclass(frozen=True)
class Origin:
    """The metadata of the source file of weights, restricted to `KEYS`.

    Attributes:
        metadata: The entries of the file that `KEYS` names.
        fingerprint: A checksum of the weights in the file; further training changes it.
    """

    metadata: Mapping[str, str]
    fingerprint: str

    @classmethod
    def of(cls, net: nn.Module, metadata: Mapping[str, str]) -> 'Origin':
        """The origin of a network just loaded from a file with these metadata."""
        kept = {key: metadata[key] for key in KEYS if key in metadata and len(metadata[key]) <= LONGEST}
        return cls(kept, fingerprint(net))


def metadata_of(net: nn.Module) -> dict[str, str]:
    """The metadata of the weights of a network; empty if the weights have changed since, for example by training."""
    origin = getattr(net, 'origin', None)
    if not isinstance(origin, Origin) or origin.fingerprint != fingerprint(net):
        return {}
    return dict(origin.metadata)


def results_of(metadata: Mapping[str, str]) -> list[tuple[str, str, float, float]]:
    """The figures in metadata: rows of set, 'tiles' or 'whole', PSNR and SSIM; empty if they are malformed."""
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
    """A checksum of the weights of a network as float32; casting float16 weights to float32 does not change it."""
    digest = hashlib.sha256()
    for key, value in net.state_dict().items():
        digest.update(f'{key} {tuple(value.shape)}'.encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()

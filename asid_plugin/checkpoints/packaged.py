"""The trained weights that come with the package: an ASID for each scale, of one kind or two.

Their card is `asid_plugin/weights/README.md`.

Wherever a checkpoint file can be named, `packaged:x2` names those of x2 for clean images, and `packaged:x2-real` those
for photographs as they are, JPEG-compressed or noisy.
"""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from safetensors import safe_open

from asid_plugin.errors import ASIDError

FOLDER = Path(__file__).parents[1] / 'weights'
CHECKSUMS = 'SHA256SUMS'
"""File in `FOLDER`, as `sha256sum` writes and checks it: the weights that there are."""
CLEAN, REAL = '', 'real'
KINDS = (CLEAN, REAL)
"""For clean images, and for photographs as they are."""
CLEAN_QUALITY = 90
"""A JPEG of a lower quality is not clean."""
_FILE = re.compile(r'([0-9a-f]{64})  (ASID_(x(\d+)(?:-(real))?)\.safetensors)')


class WeightsError(ASIDError):
    """Weights that the package does not have, or not as they were made; the message is one line."""


def is_packaged(name: str | Path) -> bool:
    """Whether a name is meant as `packaged:xK`, rightly or not, rather than as a path."""
    return str(name).startswith('packaged:')


def packaged_scales(kind: str = CLEAN) -> list[int]:
    """The scales that there are weights of a kind for, ascending."""
    return [weights.upscale for weights in _listed().values() if weights.kind == kind]


def packaged_names() -> list[str]:
    """The names of all weights in the package, those for clean images first."""
    return list(_listed())


def packaged_name(upscale: int, kind: str = CLEAN) -> str:
    """How the weights of a scale are called: `packaged:x2`, or `packaged:x2-real`.

    Args:
        upscale: The scale.
        kind: One of `KINDS`.

    Raises:
        WeightsError: There are none.
    """
    name = _name(upscale, kind)
    if name in _listed():
        return name
    if kind:
        raise WeightsError(f'the package has no weights {name}; {_there_are()}')
    scales = ', '.join(f'x{scale}' for scale in packaged_scales())
    raise WeightsError(f'the package has no weights for x{upscale}, only for {scales}')


def packaged_file_name(upscale: int, kind: str = CLEAN) -> str:
    """The name of the file of such weights, whether it is there or not."""
    return f'ASID_{_name(upscale, kind).removeprefix("packaged:")}.safetensors'


def packaged_file(name: str | Path) -> Path | None:
    """The file that `packaged:xK` means, None if the name is not of this kind.

    Raises:
        WeightsError: There are no such weights, or the file is not the one that was packaged.
    """
    if not is_packaged(name):
        return None
    weights = _listed().get(str(name))
    if weights is None:
        raise WeightsError(f'{name}: no such weights in the package; {_there_are()}')
    path = weights.path
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != weights.checksum:
        state = 'does not have the checksum in SHA256SUMS' if path.exists() else 'is missing'
        raise WeightsError(f'{name}: {path} {state}; install the package again')
    return path


def packaged_kind(name: str | Path) -> str:
    """The kind of packaged weights, by their name."""
    return REAL if str(name).endswith(f'-{REAL}') else CLEAN


def better_packaged(name: str | Path, quality: int) -> str | None:
    """The packaged weights that are made for a picture, where `name` are packaged weights for clean images.

    Args:
        name: Weights of any kind.
        quality: Of the picture's JPEG file, 0 of other files.

    Returns:
        Their name; None if `name` will do, or there are none of its scale.
    """
    other = f'{name}-{REAL}'
    return other if 0 < quality < CLEAN_QUALITY and is_packaged(name) and other in _listed() else None


def metadata(path: Path) -> dict[str, str]:
    """The metadata of a .safetensors; README.md lists the keys of the packaged ones."""
    with safe_open(path, 'pt') as file:
        return file.metadata() or {}


class _Weights(NamedTuple):
    upscale: int
    kind: str
    checksum: str
    path: Path


def _name(upscale: int, kind: str) -> str:
    return f'packaged:x{upscale}' + (f'-{kind}' if kind else '')


def _there_are() -> str:
    return f'there are {", ".join(packaged_names())}'


def _listed() -> dict[str, _Weights]:
    """The weights by their names, in the order of `packaged_names`."""
    lines = (FOLDER / CHECKSUMS).read_text(encoding='ascii').splitlines()
    entries = [entry for line in lines if (entry := _FILE.fullmatch(line))]
    found = [_Weights(int(entry[4]), entry[5] or CLEAN, entry[1], FOLDER / entry[2]) for entry in entries]
    found.sort(key=lambda weights: (KINDS.index(weights.kind), weights.upscale))
    return {_name(weights.upscale, weights.kind): weights for weights in found}

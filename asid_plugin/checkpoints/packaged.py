"""The packaged weights: trained ASIDs of each scale, of one kind or two.

Their card is `asid_plugin/weights/README.md`.

In every place of a checkpoint file, `packaged:x2` names the weights for x2 and clean images, and `packaged:x2-real`
those for JPEG-compressed or noisy photographs.
"""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from safetensors import safe_open

from asid_plugin.errors import ASIDError

FOLDER = Path(__file__).parents[1] / 'weights'
CHECKSUMS = 'SHA256SUMS'
"""File in `FOLDER` that lists the weights, as written by `sha256sum`."""
CLEAN, REAL = '', 'real'
KINDS = (CLEAN, REAL)
"""For clean images, and for JPEG-compressed or noisy photographs."""
CLEAN_QUALITY = 90
"""A JPEG of a lower quality is not clean."""
_FILE = re.compile(r'([0-9a-f]{64})  (ASID_(x(\d+)(?:-(real))?)\.safetensors)')


class WeightsError(ASIDError):
    """Packaged weights that do not exist or were changed; the message is one line."""


def is_packaged(name: str | Path) -> bool:
    """Whether a name has the form `packaged:...`, valid or not, instead of a path."""
    return str(name).startswith('packaged:')


def packaged_scales(kind: str = CLEAN) -> list[int]:
    """The scales of the packaged weights of a kind, ascending."""
    return [weights.upscale for weights in _listed().values() if weights.kind == kind]


def packaged_names() -> list[str]:
    """The names of all packaged weights, those for clean images first."""
    return list(_listed())


def packaged_name(upscale: int, kind: str = CLEAN) -> str:
    """The name of the weights of a scale: `packaged:x2`, or `packaged:x2-real`.

    Args:
        upscale: The scale.
        kind: One of `KINDS`.

    Raises:
        WeightsError: The package has no weights of this scale.
    """
    name = _name(upscale, kind)
    if name in _listed():
        return name
    if kind:
        raise WeightsError(f'the package has no weights {name}; {_available()}')
    scales = ', '.join(f'x{scale}' for scale in packaged_scales())
    raise WeightsError(f'the package has no weights for x{upscale}, only for {scales}')


def packaged_file_name(upscale: int, kind: str = CLEAN) -> str:
    """The name of the file of such weights, even if it does not exist."""
    return f'ASID_{_name(upscale, kind).removeprefix("packaged:")}.safetensors'


def packaged_file(name: str | Path) -> Path | None:
    """The file of `packaged:xK`, or None for another kind of name.

    Raises:
        WeightsError: There are no such weights, or the file was changed.
    """
    if not is_packaged(name):
        return None
    weights = _listed().get(str(name))
    if weights is None:
        raise WeightsError(f'{name}: no such weights in the package; {_available()}')
    path = weights.path
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != weights.checksum:
        state = 'does not have the checksum in SHA256SUMS' if path.exists() else 'is missing'
        raise WeightsError(f'{name}: {path} {state}; reinstall the package')
    return path


def packaged_kind(name: str | Path) -> str:
    """The kind of packaged weights, by their name."""
    return REAL if str(name).endswith(f'-{REAL}') else CLEAN


def amplifies(name: str | Path, quality: int) -> bool:
    """Whether `name` are packaged weights for clean images, and a JPEG of this quality (0: no JPEG) is not clean."""
    return 0 < quality < CLEAN_QUALITY and is_packaged(name) and packaged_kind(name) == CLEAN


def better_packaged(name: str | Path, quality: int) -> str | None:
    """The packaged weights for a picture whose artefacts `name` amplifies.

    Args:
        name: Weights of any kind.
        quality: Of the picture's JPEG file, 0 for other files.

    Returns:
        Their name; None if `name` is suitable, or the package has none of its scale.
    """
    other = f'{name}-{REAL}'
    return other if amplifies(name, quality) and other in _listed() else None


def metadata(path: Path) -> dict[str, str]:
    """The metadata of a .safetensors; README.md lists the keys of the packaged files."""
    with safe_open(path, 'pt') as file:
        return file.metadata() or {}


class _Weights(NamedTuple):
    upscale: int
    kind: str
    checksum: str
    path: Path


def _name(upscale: int, kind: str) -> str:
    return f'packaged:x{upscale}' + (f'-{kind}' if kind else '')


def _available() -> str:
    return f'available: {", ".join(packaged_names())}'


def _listed() -> dict[str, _Weights]:
    """The weights by their names, in the order of `packaged_names`."""
    lines = (FOLDER / CHECKSUMS).read_text(encoding='ascii').splitlines()
    entries = [entry for line in lines if (entry := _FILE.fullmatch(line))]
    found = [_Weights(int(entry[4]), entry[5] or CLEAN, entry[1], FOLDER / entry[2]) for entry in entries]
    found.sort(key=lambda weights: (KINDS.index(weights.kind), weights.upscale))
    return {_name(weights.upscale, weights.kind): weights for weights in found}

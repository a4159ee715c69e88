"""The packaged weights: one trained ASID for each scale.

Their card is `asid_plugin/weights/README.md`.

`packaged:x2` names the weights for x2 in every place of a checkpoint file.
"""

import hashlib
import re
from pathlib import Path

from safetensors import safe_open

from asid_plugin.errors import ASIDError

FOLDER = Path(__file__).parents[1] / 'weights'
CHECKSUMS = 'SHA256SUMS'
"""File in `FOLDER` that lists the weights, as written by `sha256sum`."""
_FILE = re.compile(r'([0-9a-f]{64})  (ASID_x(\d+)\.safetensors)')


class WeightsError(ASIDError):
    """Packaged weights that do not exist or were changed; the message is one line."""


def is_packaged(name: str | Path) -> bool:
    """Whether a name has the form `packaged:...`, valid or not, instead of a path."""
    return str(name).startswith('packaged:')


def packaged_scales() -> list[int]:
    """The scales of the packaged weights, ascending."""
    return sorted(_listed())


def packaged_name(upscale: int) -> str:
    """The name of the weights of a scale: `packaged:x2`.

    Raises:
        WeightsError: The package has no weights of this scale.
    """
    if upscale not in _listed():
        available = ', '.join(f'x{scale}' for scale in packaged_scales())
        raise WeightsError(f'the package has no weights for x{upscale}, only for {available}')
    return f'packaged:x{upscale}'


def packaged_file(name: str | Path) -> Path | None:
    """The file of `packaged:xK`, or None for another kind of name.

    Raises:
        WeightsError: There are no such weights, or the file was changed.
    """
    if not is_packaged(name):
        return None
    scale = re.fullmatch(r'packaged:x(\d+)', str(name))
    if not scale or int(scale[1]) not in _listed():
        names = ', '.join(packaged_name(upscale) for upscale in packaged_scales())
        raise WeightsError(f'{name}: no such weights in the package; available: {names}')
    checksum, path = _listed()[int(scale[1])]
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != checksum:
        state = 'does not have the checksum in SHA256SUMS' if path.exists() else 'is missing'
        raise WeightsError(f'{name}: {path} {state}; reinstall the package')
    return path


def metadata(path: Path) -> dict[str, str]:
    """The metadata of a .safetensors; README.md lists the keys of the packaged files."""
    with safe_open(path, 'pt') as file:
        return file.metadata() or {}


def _listed() -> dict[int, tuple[str, Path]]:
    """Checksum and file by scale."""
    lines = (FOLDER / CHECKSUMS).read_text(encoding='ascii').splitlines()
    entries = [entry for line in lines if (entry := _FILE.fullmatch(line))]
    return {int(entry[3]): (entry[1], FOLDER / entry[2]) for entry in entries}

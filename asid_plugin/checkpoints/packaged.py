"""The trained weights that come with the package, one ASID for each scale.

Their card is `asid_plugin/weights/README.md`.

Wherever a checkpoint file can be named, `packaged:x2` names those of x2.
"""

import hashlib
import re
from pathlib import Path

from safetensors import safe_open

from asid_plugin.errors import ASIDError

FOLDER = Path(__file__).parents[1] / 'weights'
CHECKSUMS = 'SHA256SUMS'
"""File in `FOLDER`, as `sha256sum` writes and checks it: the weights that there are."""
_FILE = re.compile(r'([0-9a-f]{64})  (ASID_x(\d+)\.safetensors)')


class WeightsError(ASIDError):
    """Weights that the package does not have, or not as they were made; the message is one line."""


def is_packaged(name: str | Path) -> bool:
    """Whether a name is meant as `packaged:xK`, rightly or not, rather than as a path."""
    return str(name).startswith('packaged:')


def packaged_scales() -> list[int]:
    """The scales that there are weights for, ascending."""
    return sorted(_listed())


def packaged_name(upscale: int) -> str:
    """How the weights of a scale are called: `packaged:x2`.

    Raises:
        WeightsError: There are none.
    """
    if upscale not in _listed():
        there_are = ', '.join(f'x{scale}' for scale in packaged_scales())
        raise WeightsError(f'the package has no weights for x{upscale}, only for {there_are}')
    return f'packaged:x{upscale}'


def packaged_file(name: str | Path) -> Path | None:
    """The file that `packaged:xK` means, None if the name is not of this kind.

    Raises:
        WeightsError: There are no such weights, or the file is not the one that was packaged.
    """
    if not is_packaged(name):
        return None
    scale = re.fullmatch(r'packaged:x(\d+)', str(name))
    if not scale or int(scale[1]) not in _listed():
        names = ', '.join(packaged_name(upscale) for upscale in packaged_scales())
        raise WeightsError(f'{name}: no such weights in the package; there are {names}')
    checksum, path = _listed()[int(scale[1])]
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != checksum:
        state = 'does not have the checksum in SHA256SUMS' if path.exists() else 'is missing'
        raise WeightsError(f'{name}: {path} {state}; install the package again')
    return path


def metadata(path: Path) -> dict[str, str]:
    """The metadata of a .safetensors; README.md lists the keys of the packaged ones."""
    with safe_open(path, 'pt') as file:
        return file.metadata() or {}


def _listed() -> dict[int, tuple[str, Path]]:
    """Checksum and file by scale."""
    lines = (FOLDER / CHECKSUMS).read_text(encoding='ascii').splitlines()
    entries = [entry for line in lines if (entry := _FILE.fullmatch(line))]
    return {int(entry[3]): (entry[1], FOLDER / entry[2]) for entry in entries}

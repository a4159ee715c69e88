"""Read files with the authors' keys under 'params', neosr's or the paper's, which `read_state_dict` refuses."""

from pathlib import Path

from torch import Tensor

from asid_plugin.archs import ASID
from asid_plugin.archs.asid_arch import MOST_IN_WINDOW
from asid_plugin.errors import one_line
from asid_plugin.layouts.author_layout import from_author_layout, is_author_layout
from asid_plugin.layouts.neosr_layout import from_neosr_layout, is_untrained

from .reading import CheckpointError, any_state_dict_of, fitting, read_content


def read_neosr(path: str | Path, flash: bool | None = None, window_size: int = 8) -> dict[str, Tensor]:
    """Read the weights of neosr's `asid` or `asid_d8`, in our layout, and add the arguments that they do not show.

    Args:
        path: .pth as neosr saves it, or .safetensors.
        flash: Its option `flash_attn`; None to detect it, which is possible if it was on from the beginning of the
            training.
        window_size: Its option of that name, read only if there are no position biases.

    Raises:
        CheckpointError: The file holds no such network, or does not show whether it has `flash_attn`.
    """
    weights = _with_author_keys(path, "neosr's ASID")
    if flash is None and not is_untrained(weights):
        raise CheckpointError(
            f'{path}: the weights do not show whether flash_attn was on at the end of the training; give --flash if '
            'it was, else --no-flash'
        )
    if not 2 <= window_size <= MOST_IN_WINDOW:
        raise CheckpointError(f'{path}: window_size must be 2 to {MOST_IN_WINDOW}, got {window_size}')
    try:
        ours = from_neosr_layout(weights, flash is not False, window_size)
        return fitting(ASID, ours)[1]
    except ValueError as error:
        raise CheckpointError(f'{path}: {one_line(error)}') from None


def read_authors(path: str | Path) -> dict[str, Tensor]:
    """Read the authors' network, in our layout, from a file that could also be neosr's.

    Forks of BasicSR that train the authors' network save such files.

    Args:
        path: .pth or .safetensors.

    Raises:
        CheckpointError: The file holds no such network.
    """
    weights = _with_author_keys(path, "the authors' ASID")
    try:
        return fitting(ASID, from_author_layout(weights))[1]
    except ValueError as error:
        raise CheckpointError(f'{path}: {one_line(error)}') from None


def _with_author_keys(path: str | Path, network: str) -> dict[str, Tensor]:
    weights = any_state_dict_of(path, read_content(Path(path)))
    if not is_author_layout(weights):
        raise CheckpointError(f"{path}: not {network}: its keys are not those of the authors' network")
    return weights

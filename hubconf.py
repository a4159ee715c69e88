"""ASID for `torch.hub`: `torch.hub.load(REPOSITORY_OR_FOLDER, 'asid', scale=2)`; no BasicSR is needed."""

from typing import TYPE_CHECKING

dependencies = ['torch', 'numpy', 'safetensors']
"""Modules that must be there; the package itself comes from this folder."""

if TYPE_CHECKING:
    from asid_plugin import ASID


def asid(scale: int = 2, pretrained: bool = True) -> 'ASID':
    """ASID with three blocks, about 300 K parameters, in eval mode.

    Args:
        scale: 2, 3 or 4; others with random weights only.
        pretrained: Take the weights that come with the package. They are not the paper's;
            `asid_plugin/weights/README.md` is their card.

    Raises:
        WeightsError: The package has no weights of this scale.
    """
    from asid_plugin import ASID
    from asid_plugin.checkpoints import packaged_name

    return ASID.from_pretrained(packaged_name(scale)) if pretrained else ASID(upscale=scale).eval()


def asid_d8(scale: int = 2, pretrained: bool = False) -> 'ASID':
    """ASID-D8, with eight blocks, about 750 K parameters, in eval mode.

    Args:
        scale: Any.
        pretrained: Must be False: no weights of it come with the package.

    Raises:
        WeightsError: `pretrained`.
    """
    from asid_plugin import ASID
    from asid_plugin.checkpoints import WeightsError

    if pretrained:
        raise WeightsError('asid_d8: the package has no weights of ASID-D8; ASID.from_pretrained reads yours')
    return ASID(num_block=8, upscale=scale).eval()

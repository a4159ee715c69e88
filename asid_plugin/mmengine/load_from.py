"""The files that `load_from` of a config takes beside MMEngine's own: .safetensors, and the package's own weights."""

from contextlib import suppress
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader


@CheckpointLoader.register_scheme(prefixes=[r'.+\.safetensors$', 'packaged:'])
def load_from_safetensors(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read such a file as MMEngine expects it: a state dict of the model, with the network at `generator.`.

    Args:
        filename: The file, an ASID or Omni-SR in any layout, or another model's state dict; or `packaged:xK`.
        map_location: Not needed; MMEngine copies from the CPU.

    Raises:
        CheckpointError: There is no such file, or it is damaged.
    """
    from asid_plugin.archs import ASID, OmniSR  # here, because a config's imports should cost little
    from asid_plugin.checkpoints import read_state_dict

    state_dict = read_state_dict(filename)
    for arch in (ASID, OmniSR):
        with suppress(ValueError):
            arch.reader.infer_arguments(state_dict)
            ours = arch.reader.to_ours(state_dict)
            return {'state_dict': {f'generator.{key}': value for key, value in ours.items()}}
    return {'state_dict': state_dict}

"""Let `load_from` of a config take the files of this package and the packaged weights."""

import functools
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor


@CheckpointLoader.register_scheme(prefixes=[r'.+\.safetensors$', 'packaged:'])
def load_from_safetensors(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read such a file in MMEngine's form: a state dict of the model, with the network at `generator.`.

    Args:
        filename: The file, an ASID or Omni-SR in any layout, or another model's state dict; or `packaged:xK`.
        map_location: Ignored; MMEngine copies from the CPU.

    Raises:
        CheckpointError: The file is missing, damaged, or holds several networks or neosr's ASID.
    """
    from asid_plugin.checkpoints import read_state_dict  # imported here, because imports of a config should be cheap

    return _of_generator(filename, read_state_dict(filename))


def _of_generator(filename: str, state_dict: Mapping[str, Tensor]) -> dict[str, Any]:
    """Weights in MMEngine's form; see `load_from_safetensors`."""
    from asid_plugin.archs import ASID, OmniSR
    from asid_plugin.checkpoints import CheckpointError
    from asid_plugin.layouts.state_dict import NEOSR_WITHOUT_BIAS, is_neosr

    if is_neosr(state_dict):
        raise CheckpointError(f'{filename}: {NEOSR_WITHOUT_BIAS}')
    for arch in (ASID, OmniSR):
        with suppress(ValueError):
            arch.reader.infer_arguments(state_dict)
            ours = arch.reader.to_ours(state_dict)
            return {'state_dict': {f'generator.{key}': value for key, value in ours.items()}}
    return {'state_dict': state_dict}


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Read a file by MMEngine's loader, but a file of BasicSR or the authors as above.

    MMEngine would treat `{'params': ...}` as a model with one weight, and train without an error. A network that is
    loaded without a `Runner` gets its file unchanged.
    """
    from asid_plugin.checkpoints.reading import NoWeightsError, state_dict_of

    content = checkpoint.load_from_local(filename, map_location)
    is_mmengines = isinstance(content, dict) and 'meta' in content and 'state_dict' in content
    if is_mmengines or not _HAS_GENERATOR.get():
        return content
    try:
        return _of_generator(filename, state_dict_of(filename, content))
    except NoWeightsError:  # MMEngine handles this
        return content


def know_the_model() -> None:
    """Tell `load_from_local` whether the model of the `Runner` has its network at `generator`."""
    original = Runner.load_checkpoint

    @functools.wraps(original)
    def load_checkpoint(self: Runner, *args: Any, **kwargs: Any) -> Any:
        model = self.model.module if is_model_wrapper(self.model) else self.model
        token = _HAS_GENERATOR.set(hasattr(model, 'generator'))
        try:
            return original(self, *args, **kwargs)
        finally:
            _HAS_GENERATOR.reset(token)

    Runner.load_checkpoint = load_checkpoint


_HAS_GENERATOR: ContextVar[bool] = ContextVar('_HAS_GENERATOR', default=False)
know_the_model()

"""Weights that any of BasicSR's models can start from, where its network is ours."""

import functools
from typing import Any

from torch import nn

from .ranks import failing_together


def weights_of_our_networks() -> None:
    """Let every model read any weights of our networks, `packaged:xK` too; BasicSR reads only files that it saved."""
    from basicsr.models.base_model import BaseModel

    original = BaseModel.load_network

    @functools.wraps(original)
    def load_network(
        self: BaseModel, net: nn.Module, load_path: str, strict: bool = True, param_key: str | None = 'params'
    ) -> None:
        from asid_plugin.archs.windowed import WindowedSR  # not where BasicSR is imported: it may be another project's

        load = load_any if isinstance(self.get_bare_model(net), WindowedSR) else original
        load(self, net, load_path, strict, param_key)

    BaseModel.load_network = load_network


def load_any(model: Any, net: nn.Module, load_path: str, strict: bool = True, param_key: str | None = 'params') -> None:
    """BasicSR's `load_network`, for any file that `read_state_dict` reads.

    Args:
        model: BasicSR's, to which the network belongs.
        net: The network.
        load_path: .pth or .ckpt (BasicSR's, MMEngine's or the authors'), .safetensors, or `packaged:xK`.
        strict: All weights must be there and fit; else those that don't are left out, with a warning.
        param_key: Preferred among the state dicts in the file.

    Raises:
        CheckpointError: The file is no checkpoint.
        RuntimeError: `strict`, and the weights are of another network.
    """
    from basicsr.utils import get_root_logger

    from asid_plugin.archs.windowed import WindowedSR
    from asid_plugin.checkpoints import CheckpointError, read_state_dict

    net = model.get_bare_model(net)
    with failing_together():
        state_dict = read_state_dict(load_path, param_key)
        if isinstance(net, WindowedSR):
            try:
                state_dict = net.reader.to_ours(state_dict)
            except ValueError as error:
                raise CheckpointError(f'{load_path}: {error}') from None
    get_root_logger().info(f'Loading {net.__class__.__name__} from {load_path}.')
    model._print_different_keys_loading(net, state_dict, strict)
    net.load_state_dict(state_dict, strict=strict)

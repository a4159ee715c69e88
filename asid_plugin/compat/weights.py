"""Let all models of BasicSR start from any file of weights, if the network is from this package."""

import functools
from typing import Any

from torch import nn

from .ranks import failing_together


def weights_of_our_networks() -> None:
    """Let every model read any file of weights for our networks, and `packaged:xK`; BasicSR reads only its files."""
    from basicsr.models.base_model import BaseModel

    original = BaseModel.load_network

    @functools.wraps(original)
    def load_network(
        self: BaseModel, net: nn.Module, load_path: str, strict: bool = True, param_key: str | None = 'params'
    ) -> None:
        # imported here, because the BasicSR of another project may lack it
        from asid_plugin.archs.windowed import WindowedSR

        load = load_any if isinstance(self.get_bare_model(net), WindowedSR) else original
        load(self, net, load_path, strict, param_key)

    BaseModel.load_network = load_network


def load_any(model: Any, net: nn.Module, load_path: str, strict: bool = True, param_key: str | None = 'params') -> None:
    """BasicSR's `load_network`, for any file that `read_state_dict` reads.

    Weights of the average that the file lacks begin as those of `net_g`, the same on every rank.

    Args:
        model: BasicSR's, to which the network belongs.
        net: The network.
        load_path: .pth or .ckpt (BasicSR's, MMEngine's or the authors'), .safetensors, or `packaged:xK`.
        strict: All weights must be present and fit; else weights that do not fit are skipped with a warning.
        param_key: Preferred among the state dicts in the file.

    Raises:
        CheckpointError: The file is not a checkpoint.
        RuntimeError: `strict`, and the weights are for another network.
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
    if net is vars(model).get('net_g_ema'):
        model.model_ema(0)
    model._print_different_keys_loading(net, state_dict, strict)
    net.load_state_dict(state_dict, strict=strict)

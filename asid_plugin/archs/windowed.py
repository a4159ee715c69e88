"""The base class of ASID and Omni-SR: padding to whole windows, and state dicts in two layouts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from .pretrained import Pretrained


@dataclass(frozen=True)
class StateDictReader:
    """Functions that read the state dicts of a network, in our layout or the layout of its released checkpoints.

    Attributes:
        network: The network's name in messages.
        to_ours: Translates a flat state dict of either layout to ours; unknown keys stay as they are.
        infer_arguments: Finds the arguments of the network that a state dict of either layout was saved from; raises
            a ValueError if it is another network's.
    """

    network: str
    to_ours: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    infer_arguments: Callable[[Mapping[str, Tensor]], dict[str, Any]]


class WindowedSR(nn.Module, Pretrained):
    """A network for super-resolution that works on windows and has ESA.

    Attributes:
        reader: Of its state dicts.
        arguments: All arguments that the network was built with.
        upscale: Scale k.
        window_size: P.
    """

    reader: ClassVar[StateDictReader]

    def __init__(self, upscale: int, window_size: int, **others: Any) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {**others, 'upscale': upscale, 'window_size': window_size}
        self.upscale = upscale
        self.window_size = window_size
        self.register_load_state_dict_pre_hook(_read_any_layout)  # type: ignore[no-untyped-call]

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights in our layout or the authors'; see `torch.nn.Module.load_state_dict`.

        Raises:
            RuntimeError: `strict`, and the weights are for another network; the message names the differences.
        """
        if strict:
            self.check_fits(state_dict)
        return super().load_state_dict(state_dict, strict, assign)

    def check_fits(self, state_dict: Mapping[str, Tensor]) -> None:
        """Raise if a state dict was saved from a network with other arguments.

        Args:
            state_dict: Flat, in either layout.

        Raises:
            RuntimeError: It is for another network, or its arguments differ; the message names them.
        """
        expected = {key: value.shape for key, value in self.state_dict().items()}
        try:
            shapes = {key: value.shape for key, value in self.reader.to_ours(state_dict).items()}
            if shapes == expected:
                return
            given = self.reader.infer_arguments(state_dict)
        except ValueError as error:
            raise RuntimeError(str(error)) from None
        own = self.arguments
        misfits = [f'{key} is {given[key]!r} there and {own[key]!r} here' for key in given if given[key] != own[key]]
        if misfits:
            raise RuntimeError(f'these weights are for another {self.reader.network}: {"; ".join(misfits)}')
        differing = sorted(key for key in {*shapes, *expected} if shapes.get(key) != expected.get(key))
        listed = f'{", ".join(differing)[:100]} ({len(differing)} of {len(expected)})'
        raise RuntimeError(f'keys are missing or unexpected: {listed}')

    def pad(self, x: Tensor) -> Tensor:
        """(B, C, H, W) with zeros at the bottom and right, up to `padded_size`."""
        height, width = self.padded_size(*x.shape[2:])
        return F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2]))

    def padded_size(self, *sides: int) -> list[int]:
        """The sides, each rounded up by `whole_windows`."""
        return [whole_windows(side, self.window_size) for side in sides]


def whole_windows(side: int, window_size: int) -> int:
    """Round up to a multiple of the window size, at least 16: below 15 pixels, ESA has nothing to pool."""
    # exporters trace a division of `side`, and ONNX rounds a negative quotient differently
    least = -(-16 // window_size)
    return max((side + window_size - 1) // window_size, least) * window_size


def _read_any_layout(net: WindowedSR, state_dict: dict[str, Tensor], prefix: str, *_unused: object) -> None:
    """`load_state_dict` pre-hook: translate to our layout."""
    weights = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
    for key in weights:
        del state_dict[prefix + key]
    state_dict |= {prefix + key: value for key, value in net.reader.to_ours(weights).items()}

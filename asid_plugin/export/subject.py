"""The network to export, with its precision, image size and metadata."""

import copy
import hashlib
import json
import warnings
from dataclasses import dataclass
from functools import cached_property

import safetensors.torch
import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config

from asid_plugin.archs import ASID
from asid_plugin.errors import ASIDError
from asid_plugin.version import __version__

from .flat import flattened

Sizes = tuple[tuple[int, int, int], ...]
"""(batch, height, width) of several pictures."""
CHECKED_SIZES: Sizes = ((1, 1, 1), (3, 7, 9), (1, 16, 16), (2, 33, 64), (1, 65, 17))
"""Sizes at which a file for any size is compared with PyTorch."""
MAX_BATCH, MAX_SIDE = 256, 8192
"""Limits of a file for any size; MAX_SIDE holds for a fixed size too."""
OPSET = 20
"""Default opset of ONNX: the first with GELU as one operator."""
OPSETS = range(18, 24)
"""Supported opsets of ONNX: PyTorch's exporter writes none below, and few runtimes read one above."""


class ExportError(ASIDError):
    """A network that cannot be exported, or an exported file that is wrong; the message is one line."""


@dataclass(frozen=True)
class Subject:
    """A network to export.

    Attributes:
        net: In eval mode, float32, on the CPU.
        size: (height, width) of the images for the file, one at a time; None for any batch and size.
        half: Weights, input and output in float16.
        opset: Opset of ONNX.

    Raises:
        ExportError: `half`, and a weight is too large for float16.
    """

    net: ASID
    size: tuple[int, int] | None = None
    half: bool = False
    opset: int = OPSET

    def __post_init__(self) -> None:
        if self.half:
            for name, value in self.net.state_dict().items():
                if not value.half().isfinite().all():
                    raise ExportError(f'{name} has values up to {value.abs().max():.3g}; float16 ends at 65504')

    @property
    def in_precision(self) -> ASID:
        """The network in the precision of the file."""
        return copy.deepcopy(self.net).half() if self.half else self.net

    @cached_property
    def program(self) -> ExportedProgram:
        """The network traced by `torch.export`, including padding and cropping."""
        net = self.in_precision
        channels = net.conv_first.in_channels
        if self.size is None:
            return export_any_size(net, channels)
        return torch.export.export(net, (next(net.parameters()).new_zeros(1, channels, *self.size),))

    @cached_property
    def flat_program(self) -> ExportedProgram:
        """The network for its size and for Core ML: float32, functional, with at most five axes."""
        assert self.size
        net = flattened(self.net)
        program = torch.export.export(net, (torch.zeros(1, net.conv_first.in_channels, *self.size),))
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', FutureWarning)  # of PyTorch, about itself
            # an alias, which coremltools does not know, is the tensor itself
            return program.run_decompositions({torch.ops.aten.alias.default: lambda x: x})


def export_any_size(
    net: nn.Module, num_in_ch: int = 3, max_batch: int = MAX_BATCH, max_side: int = MAX_SIDE
) -> ExportedProgram:
    """Export with dynamic batch, height and width; the graph includes padding and cropping.

    Plain `torch.export.export` treats sizes that are 1 or fit the padding exactly as separate cases; here they are not.
    That needs torch 2.9 or later.

    Args:
        net: An ASID in eval mode.
        num_in_ch: Channels of its input.
        max_batch: Largest batch of the exported program.
        max_side: Largest height and width, in pixels.
    """
    sides = {'max': max_side, 'min': 1}
    shapes = ({0: Dim('batch', min=1, max=max_batch), 2: Dim('height', **sides), 3: Dim('width', **sides)},)
    example = next(net.parameters()).new_zeros(2, num_in_ch, 21, 34)
    with _config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]  # created at its import
        program = torch.export.export(
            net, (example,), dynamic_shapes=shapes, prefer_deferred_runtime_asserts_over_guards=True
        )
    _drop_size_asserts(program)
    return program


def _drop_size_asserts(program: ExportedProgram) -> None:
    """Remove an assertion that tracing three or more blocks adds: that ESA's pooled map is larger than one pixel.

    It would refuse images with a side of 16 pixels or less. Only the choice of a convolution's implementation during
    tracing depends on it.
    """
    graph = program.graph
    for node in graph.find_nodes(op='call_function', target=torch.ops.aten._assert_scalar.default):
        graph.erase_node(node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()


def describe(net: ASID) -> dict[str, str]:
    """The metadata of an exported file, listed in `asid_plugin.inference.runtimes.REQUIRED`.

    The hash covers the bytes that `safetensors.torch.save` writes for the weights in our layout.
    """
    weights = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    return {
        'asid_plugin': __version__,
        'upscale': str(net.upscale),
        'arguments': json.dumps(net.arguments),
        'weights_sha256': hashlib.sha256(safetensors.torch.save(weights)).hexdigest(),
    }

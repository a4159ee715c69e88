"""Write the two files of ncnn from a graph: layers as text (.param), and their weights (.bin).

A map of C channels is (C, H, W) in ncnn: `w` is its last axis, `c` its first, `d` the second of four. Layers and the
numbers of their parameters follow ncnn's documentation of operators. Only layers of ncnn of April 2022 are used, the
version in Upscayl and Real-ESRGAN-ncnn-vulkan.
"""

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

MAGIC = '7767517'
FLOAT16 = 0x01306B47
"""Marks weights in float16; 0 marks float32."""
DEFAULT = -233
"""ncnn's number for an omitted parameter; in `Slice`, for the rest."""
ORDERS: dict[int, tuple[str, ...]] = {
    3: ('whc', 'hwc', 'wch', 'cwh', 'hcw', 'chw'),
    4: (
        *('whdc', 'hwdc', 'wdhc', 'dwhc', 'hdwc', 'dhwc', 'whcd', 'hwcd', 'wchd', 'cwhd', 'hcwd', 'chwd'),
        *('wdch', 'dwch', 'wcdh', 'cwdh', 'dcwh', 'cdwh', 'hdcw', 'dhcw', 'hcdw', 'chdw', 'dchw', 'cdhw'),
    ),
}
"""By number of axes, the orders of `Permute` in ncnn's numbering: for w, h, (d,) c, the source axis."""
Parameter = int | float | Sequence[int]


class Graph:
    """Layers of ncnn in execution order; each method returns the name of its result.

    Args:
        half: Write weights of convolutions and linear layers in float16.
    """

    def __init__(self, half: bool = False) -> None:
        self.half = half
        self.layers: list[tuple[str, list[str], list[str], dict[int, Parameter]]] = []
        self.weights = bytearray()

    def add(self, kind: str, *inputs: str, parameters: Mapping[int, Parameter] | None = None) -> str:
        """Add a layer with one result."""
        (output,) = self.add_many(kind, *inputs, parameters=parameters)
        return output

    def add_many(
        self, kind: str, *inputs: str, parameters: Mapping[int, Parameter] | None = None, num_outputs: int = 1
    ) -> list[str]:
        """Add a layer with several results."""
        start = len(self.layers)
        outputs = [f'{start}_{i}' if num_outputs > 1 else f'{start}' for i in range(num_outputs)]
        self.layers.append((kind, list(inputs), outputs, dict(parameters or {})))
        return outputs

    def rename(self, old: str, new: str) -> None:
        """Give a result another name."""
        for _, inputs, outputs, _ in self.layers:
            for names in (inputs, outputs):
                names[:] = [new if name == old else name for name in names]

    def convolution(self, x: str, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0) -> str:
        """`F.conv2d` with zero padding."""
        return self._convolution('Convolution', x, weight, bias, {3: stride, 4: padding})

    def depthwise(self, x: str, weight: Tensor, bias: Tensor | None = None) -> str:
        """Depthwise 3x3 `F.conv2d` with zero padding of 1."""
        return self._convolution('ConvolutionDepthWise', x, weight, bias, {4: 1, 7: len(weight)})

    def _convolution(
        self, kind: str, x: str, weight: Tensor, bias: Tensor | None, parameters: Mapping[int, Parameter]
    ) -> str:
        size = {0: len(weight), 1: weight.shape[-1], 5: int(bias is not None), 6: weight.numel()}
        self._store(weight, bias)
        return self.add(kind, x, parameters={**size, **parameters})

    def linear(self, x: str, weight: Tensor) -> str:
        """`F.linear` of (C,) without bias."""
        self._store(weight, None)
        return self.add('InnerProduct', x, parameters={0: len(weight), 1: 0, 2: weight.numel()})

    def normalize(self, x: str, across: str, scale: float, eps: float, eps_inside: bool) -> str:
        """Divide (C, H, W) by its length across 'channels' or across 'pixels', and multiply by a number.

        Args:
            x: The map.
            across: Where the squares are summed.
            scale: The number.
            eps: Added to the sum of squares if `eps_inside`, else the least length.
            eps_inside: See `eps`.
        """
        self.weights += struct.pack('<f', scale)
        spatial = int(across == 'pixels')
        parameters: dict[int, Parameter] = {0: spatial, 4: 1 - spatial, 1: 1, 2: eps, 3: 1, 9: int(not eps_inside)}
        return self.add('Normalize', x, parameters=parameters)

    def binary(self, operation: str, x: str, y: str | float) -> str:
        """A sum, difference or product, element by element, with another map or a number."""
        number = {'add': 0, 'sub': 1, 'mul': 2}[operation]
        if isinstance(y, str):
            return self.add('BinaryOp', x, y, parameters={0: number})
        return self.add('BinaryOp', x, parameters={0: number, 1: 1, 2: float(y)})

    def slice(self, x: str, *sizes: int) -> list[str]:
        """Split the first axis."""
        return self.add_many('Slice', x, parameters={-23300: sizes, 1: 0}, num_outputs=len(sizes))

    def reshape(self, x: str, **sides: int) -> str:
        """Reshape to the named axes of w, h, d, c; 0 copies the side, -1 infers it."""
        numbers = {'w': 0, 'h': 1, 'd': 11, 'c': 2}
        return self.add('Reshape', x, parameters={numbers[axis]: side for axis, side in sides.items()})

    def permute(self, x: str, order: str) -> str:
        """Permute three or four axes: `order` names the source axis for w, h, (d,) c of the result."""
        return self.add('Permute', x, parameters={0: ORDERS[len(order)].index(order)})

    def matmul(self, a: str, b: str, transposed: bool = False) -> str:
        """Matrix products over the last two axes, optionally with the second matrix transposed."""
        return self.add('MatMul', a, b, parameters={0: int(transposed)})

    def _store(self, weight: Tensor, bias: Tensor | None) -> None:
        """Append a layer's weight, in the precision of the file, and its bias, always in float32."""
        tag, dtype = (FLOAT16, torch.float16) if self.half else (0, torch.float32)
        content = weight.detach().to(dtype).contiguous().numpy().tobytes()
        self.weights += struct.pack('<I', tag) + content + bytes(-len(content) % 4)
        if bias is not None:
            self.weights += bias.detach().float().contiguous().numpy().tobytes()

    def write(self, param: Path) -> None:
        """Write a .param file and the .bin file beside it."""
        lines, blobs = [], 0
        for number, (kind, inputs, outputs, parameters) in enumerate(self._with_splits()):
            blobs += len(outputs)
            names = ' '.join([*inputs, *outputs])
            said = ' '.join(f'{key}={_parameter(value)}' for key, value in parameters.items())
            lines.append(f'{kind:<24} {kind.lower()}_{number} {len(inputs)} {len(outputs)} {names} {said}'.rstrip())
        param.write_text('\n'.join([MAGIC, f'{len(lines)} {blobs}', *lines, '']), encoding='ascii', newline='\n')
        param.with_suffix('.bin').write_bytes(self.weights)

    def _with_splits(self) -> list[tuple[str, list[str], list[str], dict[int, Parameter]]]:
        """The layers, with a `Split` after each result with several consumers: in ncnn a result has one consumer."""
        uses = Counter(name for _, inputs, _, _ in self.layers for name in inputs)
        taken: Counter[str] = Counter()
        layers = []
        for kind, inputs, outputs, parameters in self.layers:
            named = []
            for name in inputs:
                named.append(f'{name}_use{taken[name]}' if uses[name] > 1 else name)
                taken[name] += 1
            layers.append((kind, named, outputs, parameters))
            for name in outputs:
                if uses[name] > 1:
                    layers.append(('Split', [name], [f'{name}_use{i}' for i in range(uses[name])], {}))
        return layers


def _parameter(value: Parameter) -> str:
    if isinstance(value, Sequence):
        return ','.join(map(str, [len(value), *value]))
    return f'{value:e}' if isinstance(value, float) else str(value)

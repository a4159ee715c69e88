"""Runs the program of a Core ML package by PyTorch, each operation as the reference of MIL defines it."""

from pathlib import Path

import coremltools
import numpy as np
import torch
from coremltools.converters.mil.frontend.milproto.load import load
from torch.nn import functional as F

DTYPES = {'fp16': torch.float16, 'fp32': torch.float32}


def padding(op, spatial=2):
    """(before, after) of each side, as `F.pad` takes it."""
    assert op['pad_type'] in ('valid', 'custom')
    sides = [0] * 2 * spatial if op['pad_type'] == 'valid' else op['pad'].tolist()
    return [side for i in reversed(range(spatial)) for side in sides[2 * i : 2 * i + 2]]


def conv(op):
    x = F.pad(op['x'], padding(op))
    steps = {'stride': op['strides'].tolist(), 'dilation': op['dilations'].tolist()}
    return F.conv2d(x, op['weight'], op.get('bias'), groups=op['groups'], **steps)


def max_pool(op):
    x = F.pad(op['x'], padding(op), value=-torch.inf)
    assert not op['ceil_mode']
    return F.max_pool2d(x, op['kernel_sizes'].tolist(), op['strides'].tolist())


def matmul(op):
    x = op['x'].transpose(-1, -2) if op['transpose_x'] else op['x']
    return x @ (op['y'].transpose(-1, -2) if op['transpose_y'] else op['y'])


def layer_norm(op):
    assert op['axes'].tolist() in ([-1], [op['x'].ndim - 1])
    return F.layer_norm(op['x'], op['x'].shape[-1:], op['gamma'], op['beta'], op['epsilon'])


def gelu(op):
    assert op['mode'] == 'EXACT'
    return F.gelu(op['x'])


def split(op):
    sizes = op.get('split_sizes')
    if sizes is None:
        return op['x'].chunk(op['num_splits'], op['axis'])
    return op['x'].split(sizes.tolist(), op['axis'])


def concat(op):
    assert not op['interleave']
    return torch.cat(op['values'], op['axis'])


def upsample_bilinear(op):
    factors = float(op['scale_factor_height']), float(op['scale_factor_width'])
    return F.interpolate(op['x'], scale_factor=factors, mode='bilinear', align_corners=bool(op['align_corners']))


def pad(op):
    assert op['mode'] == 'constant'
    sides = op['pad'].tolist()
    return F.pad(op['x'], [side for i in reversed(range(0, len(sides), 2)) for side in sides[i : i + 2]])


def slice_by_index(op):
    rank = op['x'].ndim
    masks = [op.get(f'{name}_mask', [False] * rank) for name in ('begin', 'end', 'squeeze')]
    assert not any(masks[2])
    begin = [None if masks[0][i] else int(op['begin'][i]) for i in range(rank)]
    end = [None if masks[1][i] else int(op['end'][i]) for i in range(rank)]
    return op['x'][tuple(map(slice, begin, end))]


def reduced(function):
    return lambda op: function(op['x'], op['axes'].tolist(), keepdim=bool(op['keep_dims']))


def of_two(function):
    return lambda op: function(torch.as_tensor(op['x']), torch.as_tensor(op['y']))


OPERATIONS = {
    'add': of_two(torch.add),
    'cast': lambda op: op['x'].to(DTYPES[op['dtype']]),
    'concat': concat,
    'conv': conv,
    'gelu': gelu,
    'layer_norm': layer_norm,
    'linear': lambda op: F.linear(op['x'], op['weight'], op.get('bias')),
    'matmul': matmul,
    'max_pool': max_pool,
    'maximum': of_two(torch.maximum),
    'mul': of_two(torch.mul),
    'pad': pad,
    'pixel_shuffle': lambda op: F.pixel_shuffle(op['x'], int(op['upscale_factor'])),
    'real_div': of_two(torch.div),
    'reduce_mean': reduced(torch.mean),
    'reduce_sum': reduced(torch.sum),
    'reshape': lambda op: op['x'].reshape(op['shape'].tolist()),
    'sigmoid': lambda op: op['x'].sigmoid(),
    'silu': lambda op: F.silu(op['x']),
    'slice_by_index': slice_by_index,
    'softmax': lambda op: op['x'].softmax(op['axis']),
    'split': split,
    'sqrt': lambda op: op['x'].sqrt(),
    'sub': of_two(torch.sub),
    'transpose': lambda op: op['x'].permute(*op['perm'].tolist()),
    'upsample_bilinear': upsample_bilinear,
}


class Program:
    """The program of a package, its weights read from there.

    Attributes:
        operations: All but the constants.
    """

    def __init__(self, package: Path) -> None:
        spec = coremltools.utils.load_spec(str(package))
        (weights,) = package.rglob('weight.bin')
        program = load(spec, spec.specificationVersion, str(weights.parent))
        self.main = program.functions['main']
        self.operations = [op for op in self.main.operations if op.op_type != 'const']

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """Of `input`; each result must have the shape and type that the package gives it."""
        (name,) = self.main.inputs
        values = {name: x}

        def value(var):
            if isinstance(var, list | tuple):
                return [value(each) for each in var]
            if var.val is None:
                return values[var.name]
            return torch.from_numpy(var.val) if isinstance(var.val, np.ndarray) else var.val

        for op in self.operations:
            results = OPERATIONS[op.op_type]({key: value(var) for key, var in op.inputs.items() if var is not None})
            for var, result in zip(op.outputs, results if len(op.outputs) > 1 else [results], strict=True):
                declared = DTYPES[coremltools.converters.mil.mil.types.builtin_to_string(var.dtype)]
                assert (result.shape, result.dtype) == (torch.Size(var.shape), declared), (op.op_type, var.name)
                values[var.name] = result
        return values[self.main.outputs[0].name]

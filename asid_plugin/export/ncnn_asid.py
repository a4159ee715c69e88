"""ASID as a graph of ncnn, for images of any size, with tensors of at most four axes.

Maps are (C, H, W). A map of whole windows, H = P * Hb and W = P * Wb, is gathered as (C * P², Hb, Wb), the tokens of a
group along the channels; from there (C, P², Hb, Wb) is a view, and a permutation of it has the axes of a matrix
product. The graph contains no sides: ncnn copies (0) or infers (-1) them, so it takes any size.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asid_plugin.archs import ASID, CAM, ESA, GFFN, LM, SAM
from asid_plugin.archs.attention import ChannelAttention, SpatialAttention, SpatialLayer
from asid_plugin.archs.idb import IDB, DistillationUnit
from asid_plugin.inference.runtimes import backend
from asid_plugin.layouts.state_dict import beyond_the_paper

from .ncnn_graph import DEFAULT, Graph
from .subject import ExportError, Sizes, Subject

INPUT, OUTPUT = 'data', 'output'
"""Names of the input and output, as Real-ESRGAN-ncnn-vulkan and Upscayl expect them."""
Matrices = tuple[str, str]


def write_ncnn(subject: Subject, path: Path) -> None:
    """Write a .param and .bin; with `half` the weights are float16.

    The precision of the computation is an option of ncnn.
    """
    least = least_side(subject.net)
    if subject.size and min(subject.size) < least:
        raise ExportError(f'size {subject.size[1]}x{subject.size[0]}: ncnn needs sides of at least {least}')
    builder = _Builder(subject)
    builder.network()
    builder.graph.write(path)


def least_side(net: ASID) -> int:
    """The smallest side that has at least 21 pixels after padding to whole windows.

    ESA pools 21 pixels to 2, and fewer to 1. For 1 pixel, ncnn's bilinear `Interp` reads memory before the map, in
    April 2022 and still in July 2026. It multiplies this by 0, which is NaN if the memory holds NaN.
    """
    return (-(-21 // net.window_size) - 1) * net.window_size + 1


def checked_sizes(net: ASID) -> Sizes:
    """(batch, height, width) at which a pair for any size must agree with PyTorch."""
    least = least_side(net)
    return (1, least, 29), (1, 24, 24), (1, 33, 64), (1, 65, least)


def scale_by_name(name: str) -> int:
    """The scale that Upscayl infers from the name of a model: the first of these that occurs as x2 or 2x, else 4."""
    return next((k for k in (1, 2, 3, 4, 8, 16) if f'x{k}' in name or f'{k}x' in name), 4)


class NcnnNetwork:
    """A pair of files in ncnn on the CPU, with as many threads as PyTorch uses.

    Args:
        path: The .param file.

    Raises:
        BackendError: ncnn is not installed.
        ExportError: ncnn cannot load the files.
    """

    def __init__(self, path: Path) -> None:
        self.ncnn: Any = backend('ncnn', 'ncnn')
        self.net = self.ncnn.Net()
        self.net.opt.num_threads = torch.get_num_threads()
        if self.net.load_param(str(path)) or self.net.load_model(str(path.with_suffix('.bin'))):
            raise ExportError('ncnn cannot load it')

    def run(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] to (B, C', kH, kW), float32, one image after another."""
        return torch.stack([self._run(image) for image in x])

    def _run(self, image: Tensor) -> Tensor:
        with self.net.create_extractor() as extractor:
            pixels = image.contiguous().numpy()  # named, because a Mat that is not a clone holds no reference to it
            extractor.input(INPUT, self.ncnn.Mat(pixels).clone())
            status, result = extractor.extract(OUTPUT)
            if status:
                raise ExportError(f'ncnn fails with status {status} for {image.shape[2]}x{image.shape[1]} pixels')
            return torch.from_numpy(np.array(result))


class _Builder:
    """Adds ASID's layers to a graph; each method takes and returns names of maps, (C, H, W) unless stated otherwise.

    Args:
        subject: The network.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.graph = Graph(subject.half)
        self.p = subject.net.window_size
        self.window = ''
        """One channel of (1, Hb, Wb) with arbitrary values."""

    @torch.no_grad()
    def network(self) -> None:
        net, g, k = self.subject.net, self.graph, self.subject.net.upscale
        if beyond := beyond_the_paper(net.arguments):
            raise ExportError(f'ncnn supports the network of the paper, not one with {", ".join(beyond)}')
        height, width = self.subject.size or (0, 0)
        size = {0: width, 1: height, 2: net.conv_first.in_channels} if height else None
        g.rename(g.add('Input', parameters=size), INPUT)

        # up to P - 1 zeros are added, and only whole windows are used
        x = g.binary('sub', g.binary('mul', INPUT, 2.0), 1.0)
        x = g.add('Padding', x, parameters={1: self.p - 1, 3: self.p - 1})
        windows = g.add('Reorg', x, parameters={0: self.p})
        self.window = g.slice(windows, 1, DEFAULT)[0]
        x = g.add('PixelShuffle', windows, parameters={0: self.p})

        shallow = g.convolution(x, net.conv_first.weight, net.conv_first.bias, padding=1)
        deep, attn = shallow, None
        for block in net.body:
            assert isinstance(block, IDB)
            deep, used = self.idb(block, deep, attn)
            attn = used if net.inter else None
        deep = g.convolution(deep, net.conv_after_body.weight, net.conv_after_body.bias, padding=1)
        x = g.convolution(g.binary('add', shallow, deep), net.conv_up.weight, net.conv_up.bias, padding=1)
        x = g.add('PixelShuffle', x, parameters={0: k})
        x = g.binary('add', g.binary('mul', x, 0.5), 0.5)

        large = g.add('Interp', INPUT, parameters={0: 1, 1: float(k), 2: float(k)})  # it has the size of the result
        if net.conv_up.out_channels != k * k * net.conv_first.in_channels:
            raise ExportError('ncnn needs as many output channels as input channels')
        g.rename(g.add('Crop', x, large), OUTPUT)

    def idb(self, block: IDB, x: str, attn: list[Matrices] | None) -> tuple[str, list[Matrices]]:
        g, coarse = self.graph, x
        refined: list[str] = []
        used: list[Matrices] = []
        for i, unit in enumerate(block.units):
            assert isinstance(unit, DistillationUnit)
            coarse, matrices = self.unit(unit, coarse, attn[i] if attn else used[0] if used else None)
            used.append(matrices)
            if i < len(block.units) - 1:
                distilled, coarse = g.slice(coarse, block.num_refined, DEFAULT)
                refined.append(distilled)
        y = self.concat(*refined, coarse)
        if isinstance(block.aggregate, torch.nn.Linear):
            y = self.conv1x1(y, block.aggregate.weight, block.aggregate.bias)
        y = g.binary('add', self.conv1x1(self.cam(block.cam, y), block.conv.weight, block.conv.bias), x)
        return self.esa(block.esa, y), used

    def unit(self, unit: DistillationUnit, x: str, attn: Matrices | None) -> tuple[str, Matrices]:
        g, local = self.graph, []
        x = self.lm(unit.lm, x)
        if unit.split[0]:
            aside, x = g.slice(x, unit.split[0], DEFAULT)
            local = [aside]
        x, used = self.sam(unit.sam, x, attn)
        x = self.concat(x, *local)
        if isinstance(unit.fuse, torch.nn.Linear):
            x = self.conv1x1(x, unit.fuse.weight, unit.fuse.bias)
        return x, used

    def concat(self, *maps: str) -> str:
        return maps[0] if len(maps) == 1 else self.graph.add('Concat', *maps, parameters={0: 0})

    def conv1x1(self, x: str, weight: Tensor, bias: Tensor | None = None) -> str:
        return self.graph.convolution(x, weight[:, :, None, None], bias)

    def gelu(self, x: str) -> str:
        return self.graph.add('GELU', x, parameters={0: 0})

    def lm(self, lm: LM, x: str) -> str:
        g = self.graph
        y = self.gelu(self.conv1x1(x, lm.conv_in.weight, lm.conv_in.bias))
        y = self.gelu(g.depthwise(y, lm.dwconv.weight, lm.dwconv.bias))
        gate = g.add('Pooling', y, parameters={0: 1, 4: 1})  # the mean of each channel, (C,)
        gate = g.linear(g.add('Swish', g.linear(gate, lm.gate.reduce.weight)), lm.gate.expand.weight)
        gate = g.reshape(g.add('Sigmoid', gate), w=1, h=1, c=len(lm.gate.expand.weight))
        return g.binary('add', self.conv1x1(g.binary('mul', y, gate), lm.conv_out.weight, lm.conv_out.bias), x)

    def esa(self, esa: ESA, x: str) -> str:
        g = self.graph
        c1 = self.conv1x1(x, esa.conv1.weight, esa.conv1.bias)
        low = g.convolution(c1, esa.conv2.weight, esa.conv2.bias, stride=2)
        low = g.add('Pooling', low, parameters={0: 0, 1: 7, 2: 3, 5: 1})
        low = g.convolution(low, esa.conv3.weight, esa.conv3.bias, padding=1)
        low = g.add('Interp', low, c1, parameters={0: 2, 5: 1, 6: 0})
        mask = g.binary('add', self.conv1x1(c1, esa.conv_f.weight, esa.conv_f.bias), low)
        mask = g.add('Sigmoid', self.conv1x1(mask, esa.conv4.weight, esa.conv4.bias))
        return g.binary('mul', x, mask)

    def normalized(self, x: str, norm: torch.nn.LayerNorm) -> str:
        """LayerNorm across channels without its weight and bias, which `after` folds into the next layer."""
        dim = norm.normalized_shape[0]
        centred = self.conv1x1(x, torch.eye(dim) - 1 / dim)
        return self.graph.normalize(centred, 'channels', scale=dim**0.5, eps=norm.eps * dim, eps_inside=True)

    def after(self, norm: torch.nn.LayerNorm, x: str, weight: Tensor) -> str:
        """A 1x1 convolution without bias, (C', C), of the LayerNorm's result."""
        return self.conv1x1(x, weight * norm.weight, weight @ norm.bias)

    def gffn(self, gffn: GFFN, norm: torch.nn.LayerNorm, x: str) -> str:
        """The sum of x and the feed-forward of its LayerNorm."""
        g, dim = self.graph, len(gffn.proj_out.weight)
        y = self.after(norm, self.normalized(x, norm), gffn.proj_in.weight)
        gate, value = g.slice(g.depthwise(y, gffn.dwconv.weight), dim, DEFAULT)
        return g.binary('add', x, self.conv1x1(g.binary('mul', self.gelu(gate), value), gffn.proj_out.weight))

    def sam(self, sam: SAM, x: str, attn: Matrices | None) -> tuple[str, Matrices]:
        meso, glob = attn or ('', '')
        x, meso = self.spatial_layer(sam.meso_layer, 'meso', x, meso)
        x, glob = self.spatial_layer(sam.global_layer, 'global', x, glob)
        return x, (meso, glob)

    def spatial_layer(self, layer: SpatialLayer, level: str, x: str, attn: str) -> tuple[str, str]:
        g, module = self.graph, layer.attn
        y = self.normalized(x, layer.norm1)
        if not (attn and module.shared):
            attn = self.matrices(module, layer.norm1, level, y)
        value = self.tokens(self.after(layer.norm1, y, module.proj.weight @ module.value.weight), level, module)
        y = g.permute(g.matmul(attn, value), 'dchw')  # (Hb, Wb, P², C) to (C, P², Hb, Wb)
        x = g.binary('add', x, self.ungathered(y, level, self.channels(module)))
        return self.gffn(layer.ffn, layer.norm2, x), attn

    def matrices(self, module: SpatialAttention, norm: torch.nn.LayerNorm, level: str, x: str) -> str:
        """Attention matrices of a normalised map, (Hb, Wb, P², P²)."""
        g, tokens = self.graph, self.p**2
        weight = module.query_key.weight.chunk(2)
        query = self.tokens(self.after(norm, x, weight[0] * module.scale), level, module)
        key = self.tokens(self.after(norm, x, weight[1]), level, module)
        # the position bias of every group, as the bias of a convolution: ncnn of 2022 cannot broadcast four axes
        window = self.window if level == 'meso' else g.permute(self.window, 'hwc')
        assert module.position_bias is not None
        bias = module.position_bias[module.position_index]
        bias_map = g.convolution(window, torch.zeros(tokens**2, 1, 1, 1), bias)
        bias_map = g.permute(g.reshape(bias_map, w=0, h=0, d=tokens, c=tokens), 'dcwh')
        return self.softmax(g.binary('add', g.matmul(query, key, transposed=True), bias_map), tokens)

    def softmax(self, x: str, rows: int) -> str:
        """Softmax of the last axis of (Hb, Wb, rows, columns), reshaped to three axes, the limit in ncnn of 2022."""
        g = self.graph
        x = g.reshape(g.permute(x, 'wdhc'), w=0, h=0, c=-1)  # (Hb * rows, Wb, columns)
        x = g.add('Softmax', x, parameters={0: 2, 1: 1})
        return g.permute(g.reshape(x, w=0, h=0, d=rows, c=-1), 'wdhc')

    def channels(self, module: SpatialAttention | ChannelAttention) -> int:
        return len(module.proj.weight)

    def gathered(self, x: str, level: str, dim: int) -> str:
        """(C, H, W) to (C * P², Hb, Wb), tokens of a window; 'global' to (C * P², Wb, Hb), tokens of a grid."""
        g, p = self.graph, self.p
        if level == 'meso':
            return g.add('Reorg', x, parameters={0: p})
        x = g.permute(g.reshape(x, w=0, h=-1, c=dim * p), 'hwc')  # (C * P, Hb, W) to (C * P, W, Hb)
        return g.reshape(x, w=0, h=-1, c=dim * p * p)

    def ungathered(self, x: str, level: str, dim: int) -> str:
        """Undo `gathered`, of (C, P², Hb, Wb), or (C, P², Wb, Hb)."""
        g, p = self.graph, self.p
        x = g.reshape(x, w=0, h=0, c=dim * p * p)
        if level == 'meso':
            return g.add('PixelShuffle', x, parameters={0: p})
        return g.reshape(g.permute(g.reshape(x, w=0, h=-1, c=dim * p), 'hwc'), w=0, h=-1, c=dim)

    def tokens(self, x: str, level: str, module: SpatialAttention) -> str:
        """(C, H, W) to (Hb, Wb, P², C), or (Wb, Hb, P², C)."""
        dim = self.channels(module)
        x = self.graph.reshape(self.gathered(x, level, dim), w=0, h=0, d=self.p**2, c=dim)
        return self.graph.permute(x, 'cdwh')

    def cam(self, cam: CAM, x: str) -> str:
        x = self.channel_attention(cam.meso_attn, cam.norm1, x)
        x = self.gffn(cam.ffn1, cam.norm2, x)
        x = self.channel_attention(cam.global_attn, cam.norm3, x)
        return self.gffn(cam.ffn2, cam.norm4, x)

    def channel_attention(self, module: ChannelAttention, norm: torch.nn.LayerNorm, x: str) -> str:
        """The sum of x and the channel attention of its LayerNorm."""
        g, dim = self.graph, self.channels(module)
        y = self.after(norm, self.normalized(x, norm), module.qkv.weight)
        y = g.depthwise(y, module.qkv_dwconv.weight)
        q, k, v = g.slice(y, dim, dim, DEFAULT)
        mix = self.meso_channels if module.level == 'meso' else self.global_channels
        y = self.ungathered(mix(self.by_place(q), self.by_place(k), self.by_place(v), module), 'meso', dim)
        return g.binary('add', x, self.conv1x1(y, module.proj.weight))

    def by_place(self, x: str) -> str:
        """(C, H, W) to (P² * C, Hb, Wb): all channels of the first token, then of the next."""
        return self.graph.add('Reorg', x, parameters={0: self.p, 1: 1})

    def meso_channels(self, q: str, k: str, v: str, module: ChannelAttention) -> str:
        """Three maps (P² * C, Hb, Wb), with a matrix per window, to (C, P², Hb, Wb)."""
        g, dim, tokens = self.graph, self.channels(module), self.p**2
        unit = []
        for x in (q, k):
            x = g.normalize(g.reshape(x, w=0, h=-1, c=tokens), 'channels', 1.0, 1e-12, eps_inside=False)
            x = g.reshape(g.reshape(x, w=0, h=-1, c=tokens * dim), w=0, h=0, d=dim, c=tokens)
            unit.append(g.permute(x, 'cdwh'))  # (Hb, Wb, C, P²)
        assert module.temperature is not None
        cosine = g.matmul(unit[0], unit[1], transposed=True)  # a row per query
        attn = self.softmax(g.binary('mul', cosine, float(module.temperature)), dim)
        value = g.permute(g.reshape(v, w=0, h=0, d=dim, c=tokens), 'cdwh')
        return g.permute(g.matmul(attn, value), 'dcwh')

    def global_channels(self, q: str, k: str, v: str, module: ChannelAttention) -> str:
        """Three maps (P² * C, Hb, Wb), with a matrix per place in the window, to (C, P², Hb, Wb)."""
        g, dim, tokens = self.graph, self.channels(module), self.p**2
        unit = []
        for x in (q, k):
            x = g.normalize(x, 'pixels', 1.0, 1e-12, eps_inside=False)
            unit.append(g.reshape(x, w=-1, h=dim, c=tokens))  # (P², C, Hb * Wb)
        assert module.temperature is not None
        cosine = g.binary('mul', g.matmul(unit[0], unit[1], transposed=True), float(module.temperature))  # (P², C, C)
        attn = g.add('Softmax', cosine, parameters={0: 2, 1: 1})
        value = g.permute(g.reshape(v, w=0, h=0, d=dim, c=tokens), 'wdch')  # (Hb, P², C, Wb)
        return g.permute(g.matmul(attn, value), 'wcdh')

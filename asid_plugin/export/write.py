"""A trained ASID exported to ONNX, torch.export or OpenVINO.

The file takes batches and images of any size; padding and cropping are inside. Before it appears it is run at sizes
other than the traced one, and must agree with PyTorch.
"""

import copy
import hashlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config
from tqdm import tqdm

from asid_plugin.archs import ASID
from asid_plugin.checkpoints import CheckpointError
from asid_plugin.errors import ASIDError
from asid_plugin.files import staging
from asid_plugin.inference.runtimes import (
    METADATA_FILE,
    ExportedNetwork,
    backend,
    load_onnx,
    load_openvino,
    load_torch_export,
)
from asid_plugin.version import __version__

OPSET = 20
"""Of ONNX: the first in which GELU is one operator."""
CHECKED_SIZES = ((1, 1, 1), (3, 7, 9), (1, 16, 16), (2, 33, 64), (1, 65, 17))
"""(batch, height, width) at which an exported file must agree with PyTorch."""
TOLERANCE, TOLERANCE_HALF = 1e-4, 1e-2
"""Largest difference that is agreement, of values in [0, 1]; float16 has 11 significant bits."""


class ExportError(ASIDError):
    """A network that cannot be exported, or a file that came out wrong; the message is one line."""


def export_any_size(net: nn.Module, num_in_ch: int = 3, max_batch: int = 256, max_side: int = 8192) -> ExportedProgram:
    """Export with batch, height and width dynamic, padding and cropping inside the graph.

    Plain `torch.export.export` takes sizes apart that are 1 or fit the padding exactly; here they are one case. That
    needs torch 2.9 or later.

    Args:
        net: An ASID in eval mode.
        num_in_ch: Channels of its input.
        max_batch: Largest batch of the exported program.
        max_side: Largest height and width, in pixels.
    """
    sides = {'max': max_side, 'min': 1}
    shapes = ({0: Dim('batch', min=1, max=max_batch), 2: Dim('height', **sides), 3: Dim('width', **sides)},)
    example = next(net.parameters()).new_zeros(2, num_in_ch, 21, 34)
    with _config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]  # made as it is imported
        program = torch.export.export(
            net, (example,), dynamic_shapes=shapes, prefer_deferred_runtime_asserts_over_guards=True
        )
    _drop_size_asserts(program)
    return program


def _drop_size_asserts(program: ExportedProgram) -> None:
    """Take out what tracing three blocks or more adds: that ESA's pooled map is larger than one pixel.

    With that the program would refuse images of 16 pixels and less a side; only the choice of a convolution's
    implementation, while tracing, rested on it.
    """
    graph = program.graph
    for node in graph.find_nodes(op='call_function', target=torch.ops.aten._assert_scalar.default):
        graph.erase_node(node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()


def describe(net: ASID) -> dict[str, str]:
    """The metadata of an exported file, as `asid_plugin.inference.runtimes.REQUIRED` lists them.

    The hash is of the bytes that `safetensors.torch.save` makes of the weights in our layout, whatever it was before.
    """
    weights = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    return {
        'asid_plugin': __version__,
        'upscale': str(net.upscale),
        'arguments': json.dumps(net.arguments),
        'weights_sha256': hashlib.sha256(safetensors.torch.save(weights)).hexdigest(),
    }


def write_onnx(program: ExportedProgram, path: Path, metadata: dict[str, str]) -> None:
    """Write an .onnx file of opset `OPSET`, with an input `lq` and an output `sr`."""
    passes = backend('onnx_ir.passes.common')
    with quiet_exporter():
        onnx_program = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=['lq'],
            output_names=['sr'],
            dynamic_shapes=({0: 'batch', 2: 'height', 3: 'width'},),
            verbose=False,
        )
    assert onnx_program is not None  # as it is where no file is named
    passes.ClearMetadataAndDocStringPass()(onnx_program.model)  # stack traces, which name this machine's files
    onnx_program.model.metadata_props.update(metadata)
    onnx_program.save(path, external_data=False)


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Hold back what PyTorch's ONNX exporter says of its own code."""
    logger = logging.getLogger('onnxscript')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def write_openvino(program: ExportedProgram, path: Path, metadata: dict[str, str]) -> None:
    """Write OpenVINO's pair, `path` and its .bin, by way of ONNX; the metadata is `rt_info` under `asid_plugin`."""
    openvino = backend('openvino')
    onnx_file = path.with_suffix('.onnx')
    write_onnx(program, onnx_file, metadata)
    model = openvino.convert_model(onnx_file)
    for key, value in metadata.items():
        model.set_rt_info(value, ['asid_plugin', key])
    openvino.save_model(model, path, compress_to_fp16=False)  # a float16 program is float16 already
    onnx_file.unlink()


def write_torch_export(program: ExportedProgram, path: Path, metadata: dict[str, str]) -> None:
    """Write a .pt2 file for `torch.export.load`, with the metadata in its extra file `METADATA_FILE`."""
    for node in program.graph.nodes:
        node.meta.pop('stack_trace', None)  # names this machine's files
    content = io.BytesIO()  # to a file, it ends the process where the disk is full
    torch.export.save(program, content, extra_files={METADATA_FILE: json.dumps(metadata)})
    path.write_bytes(content.getvalue())


@dataclass(frozen=True)
class ExportFormat:
    """A format to export to.

    Attributes:
        suffix: Of its files.
        write: Writes a program, with metadata, to a path.
        load: Opens the file again.
        packages: That these need, besides PyTorch.
    """

    suffix: str
    write: Callable[[ExportedProgram, Path, dict[str, str]], None]
    load: Callable[[Path], ExportedNetwork]
    packages: tuple[str, ...] = ()


EXPORT_FORMATS = {
    'onnx': ExportFormat('.onnx', write_onnx, load_onnx, ('onnx', 'onnxscript', 'onnxruntime')),
    'torch-export': ExportFormat('.pt2', write_torch_export, load_torch_export),
    'openvino': ExportFormat('.xml', write_openvino, load_openvino, ('onnx', 'onnxscript', 'openvino')),
}


def export(net: ASID, path: str | Path, file_format: str = 'onnx', half: bool = False) -> float:
    """Write a network to a file, which appears when it is whole and has been checked, or not at all.

    Args:
        net: In eval mode, float32, on the CPU.
        path: The file; OpenVINO's weights go to a .bin beside it.
        file_format: A key of `EXPORT_FORMATS`.
        half: Weights, input and output in float16.

    Returns:
        The largest difference from PyTorch in float32, at `CHECKED_SIZES`.

    Raises:
        BackendError: A package that the format needs is not installed.
        ExportError: The file does not run, or differs from PyTorch by more than the tolerance; or torch is too old.
    """
    if torch.__version__ < torch.torch_version.TorchVersion('2.9'):
        raise ExportError(f'exporting needs torch 2.9 or later, this is {torch.__version__}')
    path, form = Path(path), EXPORT_FORMATS[file_format]
    for package in form.packages:
        backend(package)
    with staging(path.parent) as folder, tqdm(total=3, unit='step', disable=None, leave=False) as bar:
        bar.set_description('trace')
        program = export_any_size(copy.deepcopy(net).half() if half else net, net.conv_first.in_channels)
        bar.update()
        bar.set_description(f'write {file_format}')
        try:
            form.write(program, folder / path.name, describe(net))
        except RuntimeError as error:  # OpenVINO's where the disk is full
            raise ExportError(f'{path}: cannot be written: {" ".join(str(error).split())[:200]}') from error
        bar.update()
        bar.set_description('check')
        try:
            difference = largest_difference(form.load(folder / path.name), net)
        except (CheckpointError, RuntimeError) as error:
            raise ExportError(f'{path}: not written, it does not run: {" ".join(str(error).split())[:200]}') from error
        tolerance = TOLERANCE_HALF if half else TOLERANCE
        if not difference <= tolerance:
            raise ExportError(f'{path}: not written, it differs from PyTorch by {difference:.1e}, over {tolerance:.0e}')
    return difference


@torch.inference_mode()
def largest_difference(exported: ExportedNetwork, net: ASID) -> float:
    """The largest difference of two networks' outputs, at random images of `CHECKED_SIZES`; NaN if there is one."""
    generator = torch.Generator().manual_seed(0)
    differences = []
    for batch, *size in CHECKED_SIZES:
        x = torch.rand(batch, net.conv_first.in_channels, *size, generator=generator)
        differences.append((exported.run(x) - net(x)).abs().max())
    return torch.stack(differences).max().item()

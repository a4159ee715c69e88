"""Run files of `asid_plugin.export` in ONNX Runtime, OpenVINO and PyTorch.

Each file has the entries of `REQUIRED` in its metadata.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asid_plugin.archs.asid_arch import check_sizes
from asid_plugin.checkpoints import CheckpointError
from asid_plugin.errors import ASIDError
from asid_plugin.extras import how_to_install

from .devices import is_out_of_memory

REQUIRED = ('asid_plugin', 'upscale', 'arguments', 'weights_sha256')
"""Version of the exporter, scale, arguments of ASID as JSON, SHA-256 of the weights."""
SIZES = ('num_in_ch', 'num_out_ch', 'num_feat', 'num_block', 'upscale', 'window_size')
"""Arguments with whole numbers."""
METADATA_FILE = 'asid_plugin.json'
"""Name of the metadata in a .pt2 file."""


class BackendError(ASIDError):
    """A runtime is not installed, or cannot run here; the message is one line."""


@dataclass(frozen=True)
class ExportedNetwork:
    """An exported ASID, ready to run.

    Attributes:
        run: Maps (B, num_in_ch, H, W) in [0, 1] to (B, num_out_ch, kH, kW), both float32 on the CPU.
        metadata: Metadata of the file, with all keys of `REQUIRED`.
        arguments: Arguments of ASID in the metadata.
    """

    run: Callable[[Tensor], Tensor]
    metadata: Mapping[str, str]
    arguments: Mapping[str, Any]

    @property
    def upscale(self) -> int:
        """Scale k."""
        upscale: int = self.arguments['upscale']
        return upscale

    @property
    def num_in_ch(self) -> int:
        """Channels of the input image."""
        num_in_ch: int = self.arguments['num_in_ch']
        return num_in_ch

    @property
    def window_size(self) -> int:
        """P, side of the windows."""
        window_size: int = self.arguments['window_size']
        return window_size


def backend(name: str, extra: str = 'export') -> ModuleType:
    """Import a package of an extra.

    Raises:
        BackendError: It is not installed; the message has the command to install it.
    """
    try:
        return import_module(name)
    except ImportError:
        raise BackendError(f'{name} is not installed: {how_to_install(extra)}') from None


def load_onnx(path: str | Path, device: str = 'auto') -> ExportedNetwork:
    """Load an .onnx file in ONNX Runtime, with as many threads as PyTorch uses.

    Args:
        path: The file.
        device: 'cpu', 'cuda', or 'auto', which is CUDA if this ONNX Runtime is built for it and it starts.

    Raises:
        BackendError: ONNX Runtime is not installed, or `device` is 'cuda' and CUDA is not available.
        CheckpointError: The file is not an ASID exported by this package.
    """
    ort = backend('onnxruntime')
    cuda, cpu = 'CUDAExecutionProvider', 'CPUExecutionProvider'
    has_cuda = cuda in ort.get_available_providers()
    if device == 'cuda' and not has_cuda:
        raise BackendError(f'--device cuda: this ONNX Runtime {ort.__version__} has no CUDA support')
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    device_id = torch.cuda.current_device() if torch.cuda.is_available() else 0
    providers = [(cuda, {'device_id': device_id}), cpu] if has_cuda and device != 'cpu' else [cpu]
    session = _open(path, lambda: ort.InferenceSession(str(path), options, providers))
    if device == 'cuda' and cuda not in session.get_providers():  # it would use the CPU, without a message
        raise BackendError(f'--device cuda: ONNX Runtime {ort.__version__} cannot start CUDA here')
    metadata = session.get_modelmeta().custom_metadata_map
    arguments = _checked(metadata, path)
    if (len(session.get_inputs()), len(session.get_outputs())) != (1, 1):
        raise CheckpointError(f'{path}: not a network with one input and one output')
    lq = session.get_inputs()[0]
    _check_channels(path, arguments, lq.shape, session.get_outputs()[0].shape)
    dtype = np.float16 if lq.type == 'tensor(float16)' else np.float32

    def run(x: Tensor) -> Tensor:
        try:
            (sr,) = session.run(None, {lq.name: x.numpy().astype(dtype, copy=False)})
        except Exception as error:  # its exceptions have no common base class
            if is_out_of_memory(RuntimeError(str(error))):
                raise RuntimeError(f'ONNX Runtime: {error}') from error
            raise CheckpointError(f'{path}: it does not run: {" ".join(str(error).split())[:200]}') from error
        return torch.from_numpy(sr).float()

    return ExportedNetwork(_sized(run, arguments, path, lq.shape), metadata, arguments)


def load_openvino(path: str | Path, shape: tuple[int, int, int, int] | None = None) -> ExportedNetwork:
    """Load an .xml file, with its .bin beside it, in OpenVINO on the CPU, with as many threads as PyTorch uses.

    Args:
        path: The .xml file.
        shape: (B, num_in_ch, H, W) of all inputs, which makes it faster; None for any.

    Raises:
        BackendError: OpenVINO is not installed.
        CheckpointError: The file is not an ASID exported by this package.
    """
    openvino = backend('openvino')
    model = _open(path, lambda: openvino.Core().read_model(path))
    info = {key: ['asid_plugin', key] for key in REQUIRED}
    metadata = {key: model.get_rt_info(at).astype(str) for key, at in info.items() if model.has_rt_info(at)}
    arguments = _checked(metadata, path)
    ports = [*model.inputs, *model.outputs]
    if (len(model.inputs), len(model.outputs)) != (1, 1):
        raise CheckpointError(f'{path}: not a network with one input and one output')
    shapes = [[side.get_length() if side.is_static else None for side in port.get_partial_shape()] for port in ports]
    _check_channels(path, arguments, *shapes)
    if shape:
        model.reshape(shape)
    # the default precision is bfloat16 on CPUs that support it
    settings = {'INFERENCE_NUM_THREADS': torch.get_num_threads(), 'INFERENCE_PRECISION_HINT': 'f32'}
    compiled = _open(path, lambda: openvino.compile_model(model, 'CPU', settings))
    dtype = compiled.input().element_type.to_dtype()

    def run(x: Tensor) -> Tensor:
        return torch.tensor(compiled(x.numpy().astype(dtype, copy=False))[0]).float()

    return ExportedNetwork(_sized(run, arguments, path, shapes[0]), metadata, arguments)


def load_torch_export(path: str | Path) -> ExportedNetwork:
    """Load a .pt2 file in PyTorch, on the CPU. Such a file is a program: load only trusted files.

    Raises:
        CheckpointError: The file is not an ASID exported by this package.
    """
    extra = {METADATA_FILE: ''}
    program = _open(path, lambda: torch.export.load(path, extra_files=extra))
    metadata = _open(path, lambda: json.loads(extra[METADATA_FILE] or '{}'))
    arguments = _checked(metadata, path)
    net = _open(path, program.module)
    dtype = next((value.dtype for value in program.state_dict.values()), torch.float32)
    return ExportedNetwork(_sized(lambda x: net(x.to(dtype)).float(), arguments, path), metadata, arguments)


def _open(path: str | Path, load: Callable[[], Any]) -> Any:
    if not Path(path).is_file():
        raise CheckpointError(f'{path}: no such file')
    try:
        return load()
    except Exception as error:  # a damaged or foreign file makes parsing fail in any way
        raise CheckpointError(f'{path}: damaged, or not in the format of its suffix ({type(error).__name__})') from None


def _checked(metadata: object, path: str | Path) -> dict[str, Any]:
    """The arguments of ASID in the metadata of a file, checked for consistency."""
    if not isinstance(metadata, Mapping):
        raise CheckpointError(f'{path}: its metadata are not a JSON object')
    missing = [key for key in REQUIRED if not isinstance(metadata.get(key), str)]
    if missing:
        raise CheckpointError(
            f'{path}: not exported by asid export: its metadata lack {", ".join(missing)}; export a checkpoint by '
            'asid export'
        )
    try:
        arguments = json.loads(metadata['arguments'])
        check_sizes({name: arguments[name] for name in SIZES})
        agrees = metadata['upscale'] == str(arguments['upscale'])
    except (KeyError, RecursionError, TypeError, ValueError) as error:  # ValueError from JSON and from the sizes
        said = ' '.join(str(error).split())[:100]
        raise CheckpointError(f'{path}: its metadata have no valid arguments of an ASID ({said})') from None
    if not agrees:
        scales = f'upscale {metadata["upscale"][:20]}, but arguments with upscale {arguments["upscale"]}'
        raise CheckpointError(f'{path}: its metadata disagree: {scales}')
    return {**arguments}


def _check_channels(path: str | Path, arguments: Mapping[str, Any], lq: Sequence[object], sr: Sequence[object]) -> None:
    """Compare fixed channels of input and output with the metadata."""
    for name, shape in (('num_in_ch', lq), ('num_out_ch', sr)):
        if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != arguments[name]):
            raise CheckpointError(f'{path}: its metadata have {name} {arguments[name]}, but the shape is {(*shape,)}')


def _sized(
    run: Callable[[Tensor], Tensor], arguments: Mapping[str, Any], path: str | Path, shape: Sequence[object] = ()
) -> Callable[[Tensor], Tensor]:
    """Wrap a network with a check of the sizes of its images.

    Args:
        run: The network.
        arguments: Arguments of ASID.
        path: The file.
        shape: (B, num_in_ch, H, W) of its input, with numbers for fixed sides.
    """

    def checked(x: Tensor) -> Tensor:
        if any(isinstance(side, int) and side != given for side, given in zip(shape, x.shape, strict=False)):
            only = f'{len(x)} of {x.shape[3]}x{x.shape[2]}'
            raise CheckpointError(
                f'{path}: exported for {shape[0]} image of {shape[3]}x{shape[2]}, not for {only}; export without '
                '--size for any size'
            )
        sr, k = run(x), arguments['upscale']
        size = len(x), arguments['num_out_ch'], x.shape[2] * k, x.shape[3] * k
        if (*sr.shape,) != size:
            raise CheckpointError(f'{path}: by its metadata the output should be {size}, but it is {(*sr.shape,)}')
        return sr

    return checked

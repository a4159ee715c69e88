"""Export a trained ASID to ONNX, torch.export, OpenVINO, ncnn or Core ML.

The file takes batches and images of any size, or one image of a fixed size, and includes padding and cropping. Before
it appears it is run at sizes other than the traced one and compared with PyTorch. A Core ML package runs on Apple's
systems only, so the program before the conversion is compared instead.
"""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from asid_plugin.archs import ASID
from asid_plugin.checkpoints import CheckpointError
from asid_plugin.files import refuse_special, staging
from asid_plugin.inference.runtimes import (
    METADATA_FILE,
    ExportedNetwork,
    backend,
    load_onnx,
    load_openvino,
    load_torch_export,
)

from .check import check
from .coreml import check_place, checked_program, quiet_import, write_coreml
from .ncnn_asid import NcnnNetwork, checked_sizes, write_ncnn
from .subject import CHECKED_SIZES, MAX_SIDE, OPSETS, ExportError, Sizes, Subject, describe


def write_onnx(subject: Subject, path: Path) -> None:
    """Write an .onnx file with an input `input` and an output `output`, the names that vs-mlrt expects.

    chaiNNer reads the channels, the fixed size and the scale from their shapes.
    """
    passes = backend('onnx_ir.passes.common')
    with quiet_exporter():
        onnx_program = torch.onnx.export(
            subject.program,
            dynamo=True,
            opset_version=subject.opset,
            input_names=['input'],
            output_names=['output'],
            dynamic_shapes=None if subject.size else ({0: 'batch', 2: 'height', 3: 'width'},),
            verbose=False,
        )
    assert onnx_program is not None  # as no file is given
    passes.ClearMetadataAndDocStringPass()(onnx_program.model)  # stack traces, which name this machine's files
    written = onnx_program.model.opset_imports['']
    if written != subject.opset:
        raise ExportError(f'PyTorch {torch.__version__} writes opset {written} instead of {subject.opset}')
    onnx_program.model.metadata_props.update(describe(subject.net))
    onnx_program.save(path, external_data=False)


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Suppress the messages of PyTorch's ONNX exporter about its code."""
    logger = logging.getLogger('onnxscript')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def write_openvino(subject: Subject, path: Path) -> None:
    """Write the files of OpenVINO, `path` and its .bin, through ONNX; metadata are `rt_info` under `asid_plugin`."""
    openvino = backend('openvino')
    onnx_file = path.with_suffix('.onnx')
    write_onnx(subject, onnx_file)
    model = openvino.convert_model(onnx_file)
    for key, value in describe(subject.net).items():
        model.set_rt_info(value, ['asid_plugin', key])
    openvino.save_model(model, path, compress_to_fp16=False)  # a float16 program is float16 already
    onnx_file.unlink()


def write_torch_export(subject: Subject, path: Path) -> None:
    """Write a .pt2 file for `torch.export.load`, with the metadata in its extra file `METADATA_FILE`."""
    for node in subject.program.graph.nodes:
        node.meta.pop('stack_trace', None)  # names this machine's files
    content = io.BytesIO()  # writing to a file kills the process if the disk is full
    torch.export.save(subject.program, content, extra_files={METADATA_FILE: json.dumps(describe(subject.net))})
    path.write_bytes(content.getvalue())


@dataclass(frozen=True)
class ExportFormat:
    """A format to export to.

    Attributes:
        suffix: Suffix of its files.
        write: Writes a network to a path.
        load: Opens the file; None if only some systems can.
        packages: Required packages besides PyTorch.
        extra: The extra of this package with them.
        sizes: (batch, height, width) at which a file for any size is checked.
        has_opset: Whether the format has opsets.
        stand_in: Replaces `load`: checks the file, and returns the program before the conversion.
    """

    suffix: str
    write: Callable[[Subject, Path], None]
    load: Callable[[Path], ExportedNetwork | NcnnNetwork] | None
    packages: tuple[str, ...] = ()
    extra: str = 'export'
    sizes: Callable[[ASID], Sizes] = lambda _: CHECKED_SIZES
    has_opset: bool = False
    stand_in: Callable[[Path, Subject], Callable[[Tensor], Tensor]] | None = None

    def run(self, path: Path, subject: Subject) -> Callable[[Tensor], Tensor]:
        """Open a file of `subject`, or its stand-in, and return the function that runs it."""
        if self.load:
            return self.load(path).run
        assert self.stand_in
        return self.stand_in(path, subject)


EXPORT_FORMATS = {
    'onnx': ExportFormat('.onnx', write_onnx, load_onnx, ('onnx', 'onnxscript', 'onnxruntime'), has_opset=True),
    'torch-export': ExportFormat('.pt2', write_torch_export, load_torch_export),
    'openvino': ExportFormat('.xml', write_openvino, load_openvino, ('onnx', 'onnxscript', 'openvino'), has_opset=True),
    'ncnn': ExportFormat('.param', write_ncnn, NcnnNetwork, ('ncnn',), 'ncnn', checked_sizes),
    'coreml': ExportFormat('.mlpackage', write_coreml, None, ('coremltools',), 'coreml', stand_in=checked_program),
}


def export(
    net: ASID,
    path: str | Path,
    file_format: str = 'onnx',
    half: bool = False,
    size: tuple[int, int] | None = None,
    opset: int | None = None,
) -> float:
    """Write a network to a file, which appears complete and checked or not at all.

    Args:
        net: In eval mode, float32, on the CPU.
        path: The file; the weights of OpenVINO and ncnn go to a .bin beside it. Core ML's is a folder.
        file_format: A key of `EXPORT_FORMATS`.
        half: Weights, input and output in float16 (ncnn: only weights; Core ML: weights and computation).
        size: (height, width) of the images, one at a time; None for any batch and size. Core ML needs a size.
        opset: Opset of ONNX, one of `OPSETS`; None for `OPSET`.

    Returns:
        The largest difference from PyTorch in float32, on noise of the `sizes` of the format, black and white.

    Raises:
        BackendError: A package that the format needs is not installed.
        ExportError: The file does not run, a result is not finite, or differs from PyTorch by more than the tolerance;
            a size, opset or weight out of range; or torch is too old.
        OSError: The file cannot be written, or is a pipe, a device, or a folder other than a Core ML package.
    """
    if torch.__version__ < torch.torch_version.TorchVersion('2.9'):
        raise ExportError(f'exporting needs torch 2.9 or later, this is {torch.__version__}')
    path, form = Path(path), EXPORT_FORMATS[file_format]
    _check_request(file_format, size, opset)
    refuse_special(path)
    if file_format == 'coreml':
        check_place(path)
    with quiet_import():
        for package in form.packages:
            backend(package, form.extra)
    with _about(path, 'not written'):
        subject = Subject(net, size, half, **({} if opset is None else {'opset': opset}))
    with staging(path.parent) as folder, tqdm(total=2, unit='step', disable=None, leave=False) as bar:
        bar.set_description(f'write {file_format}')
        with _about(path, 'cannot be written'):  # OpenVINO's error if the disk is full
            form.write(subject, folder / path.name)
        bar.update()
        bar.set_description('check')
        with _about(path, 'not written, it does not run'):
            run = form.run(folder / path.name, subject)
            with _about(path, 'not written'):
                return check(run, subject, form.sizes(net))


def _check_request(file_format: str, size: tuple[int, int] | None, opset: int | None) -> None:
    """Raise the `ExportError` that `export` documents for its arguments."""
    if size and not all(1 <= side <= MAX_SIDE for side in size):
        raise ExportError(f'size {size[1]}x{size[0]}: each side must be 1 to {MAX_SIDE} pixels')
    if file_format == 'coreml' and not size:
        raise ExportError('Core ML needs a fixed size, such as --size 64x64')
    if opset is None:
        return
    if not EXPORT_FORMATS[file_format].has_opset:
        raise ExportError(f'opset {opset}: the format {file_format} has no opsets')
    if opset not in OPSETS:
        raise ExportError(f'opset {opset}: must be {OPSETS[0]} to {OPSETS[-1]}')


@contextmanager
def _about(path: Path, trouble: str) -> Iterator[None]:
    """Add the path of the unwritten file to an error, unless the error names it."""
    try:
        yield
    except (ExportError, CheckpointError, RuntimeError) as error:
        said = ' '.join(str(error).split())
        if isinstance(error, ExportError) and said.startswith(str(path)):
            raise
        raise ExportError(f'{path}: {trouble}{", " if isinstance(error, ExportError) else ": "}{said[:200]}') from error

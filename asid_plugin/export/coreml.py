"""Write ASID as a Core ML package, for iOS 15 and macOS 12 or later.

Only Apple's systems can run it. Elsewhere the program before the conversion is compared with PyTorch, and the
description in the package with the network.
"""

import errno
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from asid_plugin.files import naming
from asid_plugin.inference.runtimes import backend

from .check import check
from .flat import MOST_AXES, flattened
from .subject import ExportError, Subject, describe

INPUT, OUTPUT = 'input', 'output'
IN_FLOAT32 = ('matmul', 'maximum', 'mul', 'reduce_sum', 'sqrt', 'transpose')
"""Operations between the channels of a group and the division that turns their products into cosines."""


def check_place(path: Path) -> None:
    """Raise a `FileExistsError` if the path exists and is not a Core ML package, which would be replaced."""
    is_package = (path / 'Manifest.json').is_file() or (path.is_dir() and not any(path.iterdir()))
    if path.exists() and not is_package:
        raise FileExistsError(errno.EEXIST, 'exists and is not a Core ML package', str(path))


def write_coreml(subject: Subject, path: Path) -> None:
    """Write an .mlpackage, a folder, with the float32 arrays `input` and `output`, both NCHW.

    With `half` weights and computation are float16, except for the lengths of channels, as their squares would
    overflow.

    Args:
        subject: The network and its size.
        path: The package; it must not exist.

    Raises:
        BackendError: coremltools is not installed.
        ExportError: It cannot convert the network.
    """
    ct = backend('coremltools', 'coreml')
    assert subject.size
    shape = (1, subject.net.conv_first.in_channels, *subject.size)
    program = subject.flat_program
    try:
        with _quiet_conversion():
            model = ct.convert(
                program,
                convert_to='mlprogram',
                inputs=[ct.TensorType(INPUT, shape, np.float32)],
                outputs=[ct.TensorType(OUTPUT, dtype=np.float32)],
                minimum_deployment_target=ct.target.iOS15,
                compute_precision=_float16(ct) if subject.half else ct.precision.FLOAT32,
                skip_model_load=True,
                package_dir=str(path),
            )
    except OSError:
        raise
    except Exception as error:  # its errors have no common base class
        raise ExportError(f'coremltools cannot convert it: {error}') from error
    spec = model.get_spec()
    about = spec.description.metadata
    about.shortDescription = (
        f'ASID, super-resolution x{subject.net.upscale} of an image of {subject.size[1]}x{subject.size[0]}'
    )
    about.userDefined.update(describe(subject.net))
    spec.description.input[0].shortDescription = 'The image, values in [0, 1], channels before rows before columns'
    spec.description.output[0].shortDescription = 'The enlarged image, about [0, 1]; clamp it'
    (written,) = path.rglob('*.mlmodel')
    with naming(written):
        written.unlink()  # only its owner may read it or enter the folder of the weights
        written.write_bytes(spec.SerializeToString())
    for folder in (part for part in path.rglob('*') if part.is_dir()):
        folder.chmod(path.stat().st_mode)


def _float16(ct: Any) -> Any:
    """float16 for everything except the operations in `IN_FLOAT32`."""

    def makes_cosines(operation: Any) -> bool:
        if operation.op_type == 'real_div':
            return True
        return operation.op_type in IN_FLOAT32 and any(map(makes_cosines, operation.outputs[0].child_ops))

    return ct.transform.FP16ComputePrecision(op_selector=lambda operation: not makes_cosines(operation))


def checked_program(path: Path, subject: Subject) -> Callable[[Tensor], Tensor]:
    """Compare the description of a package with the network, and the program before the conversion with PyTorch.

    Args:
        path: The package.
        subject: The exported network.

    Returns:
        The program, in the precision of the package.

    Raises:
        ExportError: One of the two differs.
    """
    ct = backend('coremltools', 'coreml')
    spec = ct.utils.load_spec(str(path))
    k, net, size = subject.net.upscale, subject.net, subject.size
    assert size
    shapes = [(1, net.conv_first.in_channels, *size), (1, net.arguments['num_out_ch'], size[0] * k, size[1] * k)]
    features = [*spec.description.input, *spec.description.output]
    found = [(feature.name, (*feature.type.multiArrayType.shape,)) for feature in features]
    if found != list(zip((INPUT, OUTPUT), shapes, strict=True)):
        raise ExportError(f'its input and output are {found}')
    axes = most_axes(spec)
    if axes > MOST_AXES:
        raise ExportError(f'a tensor has {axes} axes; Core ML allows {MOST_AXES}')
    if describe(net).items() - spec.description.metadata.userDefined.items():
        raise ExportError('its metadata do not describe the network')

    program = subject.flat_program.module()
    check(program, replace(subject, half=False))
    if not subject.half:
        return program
    half = flattened(subject.in_precision)
    return lambda x: half(x.half()).float()


def most_axes(spec: Any) -> int:
    """The largest number of axes of any tensor in a package."""
    (function,) = spec.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    return max(len(output.type.tensorType.dimensions) for operation in block.operations for output in operation.outputs)


@contextmanager
def quiet_import() -> Iterator[None]:
    """Suppress the warnings that coremltools is not tested with this torch and that Core ML is missing here."""

    def is_news(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(('Torch version ', 'Failed to load _ML'))

    logger = logging.getLogger('coremltools')
    logger.addFilter(is_news)
    try:
        yield
    finally:
        logger.removeFilter(is_news)


@contextmanager
def _quiet_conversion() -> Iterator[None]:
    """Suppress the progress bars of coremltools, which ours replaces, but not its log."""
    logger = logging.getLogger('coremltools')
    handler = logging.NullHandler() if logger.hasHandlers() else logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    try:
        with redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.removeHandler(handler)

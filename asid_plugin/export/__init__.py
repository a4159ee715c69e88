"""Export ASID to ONNX, OpenVINO, ncnn, Core ML and `torch.export`, and to a page that runs in browsers."""

from .ncnn_asid import least_side, scale_by_name
from .subject import CHECKED_SIZES, OPSET, OPSETS, ExportError, export_any_size
from .web import export_web
from .write import EXPORT_FORMATS, ExportFormat, export

__all__ = [
    'CHECKED_SIZES',
    'EXPORT_FORMATS',
    'OPSET',
    'OPSETS',
    'ExportError',
    'ExportFormat',
    'export',
    'export_any_size',
    'export_web',
    'least_side',
    'scale_by_name',
]

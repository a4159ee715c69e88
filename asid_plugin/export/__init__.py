"""ASID exported to ONNX, OpenVINO and `torch.export`."""

from .write import CHECKED_SIZES, EXPORT_FORMATS, OPSET, ExportError, ExportFormat, export, export_any_size

__all__ = ['CHECKED_SIZES', 'EXPORT_FORMATS', 'OPSET', 'ExportError', 'ExportFormat', 'export', 'export_any_size']

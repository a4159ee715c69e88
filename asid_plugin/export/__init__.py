"""ASID exported to ONNX, OpenVINO and `torch.export`."""

from .write import CHECKED_SIZES, FORMATS, OPSET, ExportError, ExportFormat, export, export_any_size

__all__ = ['CHECKED_SIZES', 'FORMATS', 'OPSET', 'ExportError', 'ExportFormat', 'export', 'export_any_size']

"""Print versions, devices, threads and installed extras, for a bug report."""

import argparse
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from .arguments import add_no_arguments

add_arguments = add_no_arguments

PACKAGES = (
    'torch',
    'torchvision',
    'numpy',
    'safetensors',
    'opencv-python',
    'pillow',
    'tifffile',
    'filelock',
    'imagecodecs',
    'pillow-heif',
    'pillow-jxl-plugin',
    'basicsr',
    'lmdb',
    'mmengine',
    'mmcv',
    'mmcv-lite',
    'mmagic',
    'spandrel',
    'matplotlib',
    'onnx',
    'onnxruntime',
    'openvino',
    'gradio',
    'huggingface_hub',
    'ncnn',
    'coremltools',
    'pytorch-optimizer',
    'pyiqa',
)


def run(_args: argparse.Namespace) -> None:
    """Print a line for each fact."""
    import torch

    import asid_plugin
    from asid_plugin.checkpoints import packaged_names

    facts = {
        'asid_plugin': f'{asid_plugin.__version__} in {Path(asid_plugin.__file__).parent}',
        'Python': f'{platform.python_version()} on {platform.platform()}',
        **{package: _version(package) for package in PACKAGES},
        'CPU': f'{os.cpu_count()} cores, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}',
        'GPU': _gpus(),
        'extras': _extras(),
        'weights': ', '.join(packaged_names()),
    }
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f'{name:{width}}  {fact}')


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return '-'


def _gpus() -> str:
    import torch

    if not torch.cuda.is_available():
        return (
            f'none visible to PyTorch (built for CUDA {torch.version.cuda})'
            if torch.version.cuda
            else 'none (CPU build)'
        )
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f'{", ".join(names)}; CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}'


def _extras() -> str:
    """List the complete extras, and the packages that the others lack."""
    from .main import EXTRAS

    lacking: dict[str, list[str]] = {}
    for module, extra in EXTRAS.items():
        lacking.setdefault(extra, []).extend([module] if find_spec(module) is None else [])
    return ', '.join(f'{extra} (lacks {" ".join(names)})' if names else extra for extra, names in lacking.items())

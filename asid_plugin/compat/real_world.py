"""Corrections to BasicSR's models for Real-ESRGAN and for videos, which expect a GPU."""

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .patching import classes_of, rebind

ON_CUDA = {
    'realesrnet_model.RealESRNetModel': ('__init__', '_dequeue_and_enqueue'),
    'realesrgan_model.RealESRGANModel': ('__init__', '_dequeue_and_enqueue'),
    'video_base_model.VideoBaseModel': ('dist_validation',),
    'video_recurrent_model.VideoRecurrentModel': ('dist_validation',),
}
"""Models of BasicSR by module and class, with the methods that use a GPU regardless of `num_gpu`."""


class CPUForCUDA(TorchFunctionMode):
    """Replaces `.cuda()` and `device='cuda'` by the CPU within the context."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of torch."""
        kwargs = kwargs or {}
        if func is Tensor.cuda:
            return args[0]
        if str(kwargs.get('device')).startswith('cuda'):
            kwargs = kwargs | {'device': torch.device('cpu')}
        return func(*args, **kwargs)


def models_that_insist_on_cuda() -> None:
    """Let the models of `ON_CUDA` run with `num_gpu: 0`; all versions of BasicSR put some tensors on a GPU.

    Their subclasses inherit it; other models are unchanged.
    """
    for name, methods in ON_CUDA.items():
        for model in classes_of('basicsr.models', [name]):
            for method in methods:
                setattr(model, method, _on_cpu(getattr(model, method)))


def _on_cpu(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a model, on the CPU where the model's options have `num_gpu: 0`."""

    @functools.wraps(original)
    def on_cpu(self: Any, *args: Any, **kwargs: Any) -> Any:
        opt = self.opt if hasattr(self, 'opt') else kwargs.get('opt') or args[0]  # `__init__` is given them
        with CPUForCUDA() if opt['num_gpu'] == 0 else nullcontext():
            return original(self, *args, **kwargs)

    return on_cpu


def filter_of_any_strides() -> None:
    """Let `filter2D` take images of any memory layout; all versions of BasicSR fail in `view`.

    `DiffJPEG` gives channels-last images, and on a CPU `pad` keeps that layout.
    """
    from basicsr.utils import img_process_util

    original = img_process_util.filter2D

    @functools.wraps(original)
    def filter2d(img: Tensor, kernel: Tensor) -> Tensor:
        filtered: Tensor = original(img.contiguous(), kernel.contiguous())
        return filtered

    rebind(original, filter2d)

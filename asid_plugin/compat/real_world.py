"""Mends of BasicSR's training on images that it degrades itself, Real-ESRGAN's, which expects a GPU."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .patching import rebind

STEPS = ('feed_data', 'dist_validation')
"""Methods of a model that make tensors of their own: the degraded images, and the figures of a video."""


class CPUForCUDA(TorchFunctionMode):
    """Takes `.cuda()` and `device='cuda'` for the CPU as long as the context lasts."""

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
    """Let every model run with `num_gpu: 0`, where those of all of BasicSR's versions put some tensors on a GPU.

    `RealESRNetModel` and `RealESRGANModel` do so with what degrades the images, `VideoBaseModel` and
    `VideoRecurrentModel` with their figures; models of other trees have it from them. All are built by `build_model`.
    """
    from basicsr import models

    original = models.build_model

    @functools.wraps(original)
    def build_model(opt: dict[str, Any]) -> Any:
        if opt['num_gpu'] != 0:
            return original(opt)
        with CPUForCUDA():
            model = original(opt)
        for name in STEPS:
            if hasattr(model, name):
                setattr(model, name, _on_cpu(getattr(model, name)))
        return model

    rebind(original, build_model)


def _on_cpu(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def on_cpu(*args: Any, **kwargs: Any) -> Any:
        with CPUForCUDA():
            return original(*args, **kwargs)

    return on_cpu


def filter_of_any_strides() -> None:
    """Let `filter2D` take images of any memory layout, where all of BasicSR's versions fail by `view`.

    `DiffJPEG` gives channels-last images, and on a CPU `pad` keeps that layout.
    """
    from basicsr.utils import img_process_util

    original = img_process_util.filter2D

    @functools.wraps(original)
    def filter2d(img: Tensor, kernel: Tensor) -> Tensor:
        filtered: Tensor = original(img.contiguous(), kernel.contiguous())
        return filtered

    rebind(original, filter2d)

"""Corrections of BasicSR 1.4.2 (2022) for today's stack, applied at run time.

Every correction is one function. Its docstring names the fault and its first version; without the fault it changes
nothing.
The import hook (`asid_plugin.startup`) runs those of `BEFORE` before BasicSR's code and those of `AFTER` after
it. No file of BasicSR, torch or torchvision is touched.

Two changes need no correction, and tests cover them. Since torch 2.6 `torch.load` accepts only tensors and plain
values, like BasicSR's checkpoints and training states. BasicSR's source distribution needs torch at build time, so
`scripts/setup.sh` passes `--no-build-isolation`.
"""

import functools
import re
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from pathlib import Path, PurePosixPath
from types import FrameType, ModuleType
from typing import Any

import torch

from asid_plugin.errors import ASIDError

from .jpeg import jpeg_of_any_quality
from .lmdbs import lmdb_opened_twice
from .older_names import names_that_moved
from .option_files import option_files_that_run_code, values_that_run_code
from .patching import cpu_as_cuda_device, leave_process_group_at_exit, on_gloo, rebind, replaced
from .ranks import dist_params_of_pytorch
from .real_world import filter_of_any_strides, models_that_insist_on_cuda
from .resuming import batches_read_for_nothing, epochs_begun_anew, eta_of_minus_one, folders_archived_in_one_second
from .torchvision import torchvision_ops
from .unreadable_images import images_without_a_name
from .validation_images import validation_images_of_several_sets
from .waiting import waiting_for_data
from .wandb_ids import wandb_without_ids
from .weights import weights_of_our_networks


class MissingWeightsError(ASIDError):
    """Missing weights for a loss; the message is one line."""


def before_import() -> None:
    """Correct the faults that keep BasicSR from being imported."""
    for correct in BEFORE:
        correct()


@functools.cache
def after_import() -> None:
    """Correct the faults that keep an imported BasicSR from running; a second call does nothing."""
    for correct in AFTER:
        correct()


def functional_tensor() -> None:
    """Provide `torchvision.transforms.functional_tensor`, gone since torchvision 0.17.

    BasicSR's `data/degradations.py` imports `rgb_to_grayscale` from it, which is public elsewhere now.
    """
    name = 'torchvision.transforms.functional_tensor'
    if name in sys.modules or find_spec('torchvision') is None or find_spec(name) is not None:
        return
    from torchvision.transforms.functional import rgb_to_grayscale

    sys.modules[name] = _new_module(name, rgb_to_grayscale=rgb_to_grayscale)


def lend_distutils() -> None:
    """Provide `distutils.version.LooseVersion` for BasicSR, gone since Python 3.12 without setuptools.

    `archs/arch_util.py` compares torchvision's version with it. `withdraw_distutils` removes the stand-in, so that no
    other program uses it as the real distutils.
    """
    try:
        import distutils.version  # noqa: F401
    except ImportError:
        from torch.torch_version import TorchVersion  # compares as LooseVersion does

        version = _new_module('distutils.version', LooseVersion=TorchVersion)
        sys.modules.update({'distutils': _new_module('distutils', version=version), 'distutils.version': version})
        _LENT.append(version)


def withdraw_distutils() -> None:
    """Remove the stand-in of `lend_distutils`."""
    while _LENT:
        if sys.modules.get('distutils.version') is _LENT.pop():
            del sys.modules['distutils'], sys.modules['distutils.version']


def dist_without_cuda() -> None:
    """Let `--launcher pytorch` and `slurm` start on a machine without CUDA, where all of BasicSR's versions fail.

    They divide the rank by the number of GPUs and require NCCL. Without CUDA the device is the CPU, and the backend
    gloo.
    """
    from basicsr.utils import dist_util

    for original in (dist_util._init_dist_pytorch, dist_util._init_dist_slurm):
        rebind(original, on_gloo(original))


def process_group_left_open() -> None:
    """Destroy the process group at the end of the program, which BasicSR's scripts do not.

    See `leave_process_group_at_exit`.
    """
    from basicsr.utils import dist_util

    original = dist_util.init_dist

    @functools.wraps(original)
    def init_dist(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        leave_process_group_at_exit()

    rebind(original, init_dist)


def ddp_without_cuda() -> None:
    """Let networks on the CPU be distributed, where all of BasicSR's versions name a GPU to DistributedDataParallel."""
    from basicsr.models.base_model import BaseModel

    original = BaseModel.model_to_device

    @functools.wraps(original)
    def model_to_device(self: BaseModel, net: torch.nn.Module) -> torch.nn.Module:
        if not self.opt['dist'] or self.device.type != 'cpu':
            return original(self, net)
        unused = self.opt.get('find_unused_parameters', False)  # the class that BasicSR uses
        return torch.nn.parallel.DistributedDataParallel(net.to(self.device), find_unused_parameters=unused)

    BaseModel.model_to_device = model_to_device


def local_rank_argument() -> None:
    """Accept `--local-rank`, the spelling of `torch.distributed.launch` since torch 2.0, for `--local_rank`."""
    from basicsr.utils import options

    original = options.parse_options

    @functools.wraps(original)
    def parse_options(*args: Any, **kwargs: Any) -> Any:
        argv = sys.argv
        sys.argv = [re.sub(r'^--local-rank(?==|$)', '--local_rank', argument) for argument in argv]
        try:
            return original(*args, **kwargs)
        finally:
            sys.argv = argv

    rebind(original, parse_options)


def resume_without_cuda() -> None:
    """Let training resume on a machine without CUDA; all versions of BasicSR ask for the current GPU.

    The state is read in the same way as by the check of options; torch's reader refuses some states that pass it.

    `load_resume_state` belongs to the train script, `basicsr.train` or, as `python basicsr/train.py`, a
    `__main__` that defines it after the import hook ran. Both call `parse_options` right before it, so it is replaced
    there, in the calling module.
    """
    from basicsr.utils import options

    original = options.parse_options

    @functools.wraps(original)
    def parse_options(*args: Any, **kwargs: Any) -> Any:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and 'load_resume_state' not in frame.f_globals:
            frame = frame.f_back
        if frame is not None and not hasattr(frame.f_globals['load_resume_state'], '__wrapped__'):
            frame.f_globals['load_resume_state'] = _without_cuda_on_cpu(frame.f_globals['load_resume_state'])
        return original(*args, **kwargs)

    rebind(original, parse_options)


def prefetcher_that_hangs() -> None:
    """Raise an error of the thread of `prefetch_mode: cpu`; all versions of BasicSR then wait for ever."""
    from basicsr.data.prefetch_dataloader import PrefetchGenerator

    original_run, original_next = PrefetchGenerator.run, PrefetchGenerator.__next__

    @functools.wraps(original_run)
    def run(self: PrefetchGenerator) -> None:
        try:
            original_run(self)
        except Exception as error:
            self.queue.put(error)

    @functools.wraps(original_next)
    def following(self: PrefetchGenerator) -> Any:
        item = original_next(self)
        if isinstance(item, Exception):
            raise item
        return item

    PrefetchGenerator.run, PrefetchGenerator.__next__ = run, following


def batches_overwritten() -> None:
    """Keep the memory of a batch until the GPU has read it; all versions of BasicSR let it be overwritten.

    `prefetch_mode: cuda` copies batches on a separate stream. Torch reuses the memory of a released batch at once for
    the next copy on that stream, although kernels on the stream of the training have yet to read it.
    """
    from basicsr.data.prefetch_dataloader import CUDAPrefetcher

    original = CUDAPrefetcher.next

    @functools.wraps(original)
    def following(self: CUDAPrefetcher) -> Any:
        batch = original(self)
        for value in (batch or {}).values():
            if isinstance(value, torch.Tensor) and value.is_cuda:
                value.record_stream(torch.cuda.current_stream())
        return batch

    CUDAPrefetcher.next = following


def features_without_weights() -> None:
    """Name the file that `PerceptualLoss` needs if its download fails; torch ends in a traceback."""
    from basicsr.archs.vgg_arch import VGGFeatureExtractor

    original = VGGFeatureExtractor.__init__

    @functools.wraps(original)
    def init(self: VGGFeatureExtractor, layer_name_list: list[str], vgg_type: str = 'vgg19', **kwargs: Any) -> None:
        try:
            original(self, layer_name_list, vgg_type, **kwargs)
        except OSError as error:  # also the base of urllib's errors
            from torchvision.models import get_model_weights

            url = get_model_weights(vgg_type)['IMAGENET1K_V1'].url
            file = Path(torch.hub.get_dir(), 'checkpoints', PurePosixPath(url).name)
            reason = (
                f'the weights of {vgg_type} for the perceptual loss are missing, and their download failed ({error})'
            )
            raise MissingWeightsError(f'{reason}: save {url} as {file}') from error

    VGGFeatureExtractor.__init__ = init


def _new_module(name: str, **content: Any) -> ModuleType:
    module = module_from_spec(ModuleSpec(name, loader=None))
    vars(module).update(content)
    return module


def _without_cuda_on_cpu(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def on_cpu(*args: Any, **kwargs: Any) -> Any:
        from asid_plugin.checkpoints.archives import load_pickled

        with cpu_as_cuda_device(), replaced(torch, 'load', lambda file, **_: load_pickled(file)):
            return function(*args, **kwargs)

    return on_cpu


BEFORE = [torchvision_ops, functional_tensor, lend_distutils]
AFTER = [
    withdraw_distutils,
    names_that_moved,
    lmdb_opened_twice,
    dist_without_cuda,
    process_group_left_open,
    dist_params_of_pytorch,
    ddp_without_cuda,
    local_rank_argument,
    resume_without_cuda,
    images_without_a_name,
    prefetcher_that_hangs,
    batches_overwritten,
    features_without_weights,
    option_files_that_run_code,
    values_that_run_code,
    validation_images_of_several_sets,
    epochs_begun_anew,
    batches_read_for_nothing,
    eta_of_minus_one,
    folders_archived_in_one_second,
    waiting_for_data,
    filter_of_any_strides,
    jpeg_of_any_quality,
    models_that_insist_on_cuda,
    weights_of_our_networks,
    wandb_without_ids,
]

_LENT: list[ModuleType] = []

"""What is wrong between BasicSR 1.4.2 (2022), MMEngine 0.10 and today's stack, mended while the program runs.

Every mend is one function that says what is broken and since when, and that changes nothing where nothing is broken.
The import hook (`asid_plugin.startup`) runs those of `BEFORE` before BasicSR's code and those of `AFTER` after
it; `asid_plugin.mm` runs those of `MMENGINE`. No file of BasicSR, MMEngine, torch or torchvision is touched.

Two things on the list of what changed need no mend, only care, and the tests hold them: since torch 2.6 `torch.load`
takes tensors and plain values only, which BasicSR's checkpoints and training states are; and BasicSR's source
distribution asks for torch at build time, which `scripts/setup.sh` answers with `--no-build-isolation`.
"""

import atexit
import functools
import gc
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from pickle import UnpicklingError
from threading import Lock
from types import ModuleType
from typing import Any
from weakref import WeakValueDictionary

import torch

is_exporting: Callable[[], bool] = getattr(torch.compiler, 'is_exporting', lambda: False)
"""Whether `torch.export` is tracing; torch 2.6 cannot say, nor can it export for any size."""


def before_import() -> None:
    """Mend what keeps BasicSR from being imported."""
    for mend in BEFORE:
        mend()


@functools.cache
def after_import() -> None:
    """Mend what keeps an imported BasicSR from running; a second call does nothing."""
    for mend in AFTER:
        mend()


@functools.cache
def mend_mmengine() -> None:
    """Mend what keeps MMEngine from resuming, validating alone and running on a CPU; a second call does nothing."""
    for mend in MMENGINE:
        mend()


def rebind(original: Callable, replacement: Callable) -> None:
    """Put `replacement` wherever BasicSR's modules hold `original`, which they import from each other by value."""
    for name, module in list(sys.modules.items()):
        if name.partition('.')[0] == 'basicsr':
            for key, value in list(vars(module).items()):
                if value is original:
                    setattr(module, key, replacement)


def torchvision_ops() -> None:
    """Let torchvision be imported when its compiled operators don't load.

    That happens where torch and torchvision come from different builds, usually torch's CPU build and PyPI's
    torchvision. Since 0.17 it then stops with "operator torchvision::nms does not exist" (since 0.28 also
    "qnms"), because it describes operators that nobody declared. Declaring them is enough: BasicSR calls none of them.
    """
    while True:
        try:
            import torchvision  # noqa: F401

            return
        except RuntimeError as error:
            missing = re.search(r'operator torchvision::(\w+) does not exist', str(error))
            if missing is None:
                raise
        for name in [name for name in sys.modules if name.partition('.')[0] == 'torchvision']:
            del sys.modules[name]
        library = torch.library.Library('torchvision', 'FRAGMENT')
        library.define(f'{missing[1]}(...) -> ...')  # fails where it is declared already, so this ends
        _KEPT_ALIVE.append(library)


def functional_tensor() -> None:
    """Provide `torchvision.transforms.functional_tensor`, gone since torchvision 0.17.

    BasicSR's `data/degradations.py` takes `rgb_to_grayscale` from it, which has a public home now.
    """
    name = 'torchvision.transforms.functional_tensor'
    if name in sys.modules or find_spec(name) is not None:
        return
    from torchvision.transforms.functional import rgb_to_grayscale

    sys.modules[name] = _new_module(name, rgb_to_grayscale=rgb_to_grayscale)


def lend_distutils() -> None:
    """Lend BasicSR `distutils.version.LooseVersion`, gone since Python 3.12 where there is no setuptools.

    `archs/arch_util.py` compares torchvision's version with it. `withdraw_distutils` takes the stand-in away
    again, lest somebody takes it for the real distutils.
    """
    try:
        import distutils.version  # noqa: F401
    except ImportError:
        from torch.torch_version import TorchVersion  # compares as LooseVersion does

        version = _new_module('distutils.version', LooseVersion=TorchVersion)
        sys.modules.update({'distutils': _new_module('distutils', version=version), 'distutils.version': version})
        _LENT.append(version)


def withdraw_distutils() -> None:
    """Take away what `lend_distutils` lent."""
    while _LENT:
        if sys.modules.get('distutils.version') is _LENT.pop():
            del sys.modules['distutils'], sys.modules['distutils.version']


def lmdb_opened_twice() -> None:
    """Let several datasets read one LMDB in one process, which lmdb refuses since 2.0 ("already open in this process").

    BasicSR opens an LMDB anew for every dataset that names it: two test sets on the same images, or training sets for
    several scales with the same ground truth. The datasets now share what one of them has open. A process forked off
    while it is open inherits it; for reading without locks, as BasicSR opens it, that is safe.
    """
    import lmdb
    from basicsr.utils.file_client import LmdbBackend

    open_lmdb = lmdb.open
    original = LmdbBackend.__init__
    opened: WeakValueDictionary[tuple, lmdb.Environment] = WeakValueDictionary()
    one_at_a_time = Lock()

    def share(path: str, **settings: Any) -> lmdb.Environment:
        # the file's identity, not its name: an LMDB that was written anew is another one
        stat = os.stat(os.path.join(path, 'data.mdb') if os.path.isdir(path) else path)
        key = stat.st_dev, stat.st_ino, *sorted(settings.items())
        environment = opened.get(key)
        if environment is None:
            opened[key] = environment = open_lmdb(path, **settings)
        return environment

    @functools.wraps(original)
    def init(*args: Any, **kwargs: Any) -> None:
        with one_at_a_time, _replaced(lmdb, 'open', share):
            original(*args, **kwargs)

    LmdbBackend.__init__ = init


def dist_without_cuda() -> None:
    """Let `--launcher pytorch` and `slurm` start on a machine without CUDA, where all of BasicSR's versions fail.

    They divide the rank by the number of GPUs and insist on NCCL; without CUDA there is one device, the CPU, and gloo.
    """
    from basicsr.utils import dist_util

    for original in (dist_util._init_dist_pytorch, dist_util._init_dist_slurm):
        rebind(original, _on_gloo(original))


def process_group_left_open() -> None:
    """Leave the process group when the program ends, which none of BasicSR's scripts does.

    Threads of gloo that are still running then abort the process now and then ("terminate called without an active
    exception", once in sixty runs here), after everything is saved; NCCL warns since torch 2.4.
    """
    from basicsr.utils import dist_util

    original = dist_util.init_dist

    @functools.wraps(original)
    def init_dist(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        atexit.register(_leave_process_group)

    rebind(original, init_dist)


def ddp_without_cuda() -> None:
    """Let networks on the CPU be distributed, where all of BasicSR's versions name a GPU to DistributedDataParallel."""
    from basicsr.models.base_model import BaseModel

    original = BaseModel.model_to_device

    @functools.wraps(original)
    def model_to_device(self: BaseModel, net: torch.nn.Module) -> torch.nn.Module:
        if not self.opt['dist'] or self.device.type != 'cpu':
            return original(self, net)
        unused = self.opt.get('find_unused_parameters', False)
        return torch.nn.parallel.DistributedDataParallel(net.to(self.device), find_unused_parameters=unused)

    BaseModel.model_to_device = model_to_device


def local_rank_argument() -> None:
    """Accept `--local-rank`, as `torch.distributed.launch` spells it since torch 2.0, for `--local_rank`."""
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
    """Let training resume on a machine without CUDA, where all of BasicSR's versions ask for the current GPU.

    `load_resume_state` belongs to the train script, `basicsr.train` or, as `python basicsr/train.py`, a
    `__main__` that defines it after the import hook ran. Either calls `parse_options` right before it, so that is
    where it is mended, in whichever module the call came from.
    """
    from basicsr.utils import options

    original = options.parse_options

    @functools.wraps(original)
    def parse_options(*args: Any, **kwargs: Any) -> Any:
        frame = sys._getframe(1)
        while frame is not None and 'load_resume_state' not in frame.f_globals:
            frame = frame.f_back
        if frame is not None and not hasattr(frame.f_globals['load_resume_state'], '__wrapped__'):
            frame.f_globals['load_resume_state'] = _without_cuda_on_cpu(frame.f_globals['load_resume_state'])
        return original(*args, **kwargs)

    rebind(original, parse_options)


def mmengine_checkpoints() -> None:
    """Let MMEngine read its own checkpoints again, which torch refuses since 2.6: they hold its log.

    The log is made of `HistoryBuffer`s, and these of NumPy arrays and of references to their own methods. They are all
    that is allowed in addition to tensors; code in a checkpoint is refused as before.
    """
    import numpy
    from mmengine.logging import HistoryBuffer

    def method(owner: type, name: str) -> Any:
        if owner is not HistoryBuffer or name.startswith('_'):
            raise UnpicklingError(f'a checkpoint asks for {name} of {owner}')
        return getattr(owner, name)

    array, scalar = (numpy.zeros(1).__reduce__()[0], numpy.float64(0).__reduce__()[0])
    cores = ('numpy.core.multiarray', 'numpy._core.multiarray')  # before NumPy 2, and since
    functions = [(function, f'{core}.{function.__name__}') for function in (array, scalar) for core in cores]
    types = [numpy.ndarray, numpy.dtype, *(type(numpy.dtype(kind)) for kind in 'fdilq')]
    torch.serialization.add_safe_globals([HistoryBuffer, (method, 'builtins.getattr'), *types, *functions])


def mmengine_dist_without_cuda() -> None:
    """Let `--launcher pytorch` and `slurm` start on a machine without CUDA, which MMEngine takes for given.

    As in BasicSR, see `dist_without_cuda` and `process_group_left_open`.
    """
    from mmengine.dist import utils

    def leaving(original: Callable) -> Callable:
        start = _on_gloo(original)

        @functools.wraps(original)
        def init_dist(*args: Any, **kwargs: Any) -> None:
            start(*args, **kwargs)
            atexit.register(_leave_process_group)

        return init_dist

    for name in ('_init_dist_pytorch', '_init_dist_slurm'):
        setattr(utils, name, leaving(getattr(utils, name)))


def mmengine_ddp_without_cuda() -> None:
    """Let models on the CPU be distributed, where `Runner` names a GPU to DistributedDataParallel."""
    from mmengine.model import MMDistributedDataParallel

    original = MMDistributedDataParallel.__init__

    @functools.wraps(original)
    def init(self: MMDistributedDataParallel, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        if all(parameter.device.type == 'cpu' for parameter in module.parameters()):
            kwargs['device_ids'] = None
        original(self, module, *args, **kwargs)

    MMDistributedDataParallel.__init__ = init


def mmengine_amp_without_cuda() -> None:
    """Let `AmpOptimWrapper` be used on a CPU: it refuses, although MMEngine's own `autocast` has bfloat16 there."""
    from mmengine.optim import AmpOptimWrapper
    from mmengine.optim.optimizer import amp_optimizer_wrapper

    original = AmpOptimWrapper.__init__

    @functools.wraps(original)
    def init(self: AmpOptimWrapper, *args: Any, **kwargs: Any) -> None:
        disabled = functools.partial(torch.amp.GradScaler, 'cpu', enabled=False)  # bfloat16 needs none
        with ExitStack() as stack:
            if not torch.cuda.is_available():
                stack.enter_context(_replaced(amp_optimizer_wrapper, 'is_cuda_available', lambda: True))
                stack.enter_context(_replaced(amp_optimizer_wrapper, 'GradScaler', disabled))
            original(self, *args, **kwargs)

    AmpOptimWrapper.__init__ = init


def mmengine_val_without_training() -> None:
    """Let `Runner.val` be called alone with a `save_best`, which has nowhere to save to before a training begins."""
    from mmengine.hooks import CheckpointHook

    original = CheckpointHook.after_val_epoch

    @functools.wraps(original)
    def after_val_epoch(self: CheckpointHook, runner: Any, metrics: dict[str, float]) -> None:
        if hasattr(self, 'file_backend'):  # `before_train` sets it
            original(self, runner, metrics)

    CheckpointHook.after_val_epoch = after_val_epoch


def _new_module(name: str, **content: Any) -> ModuleType:
    module = module_from_spec(ModuleSpec(name, loader=None))
    vars(module).update(content)
    return module


@contextmanager
def _replaced(owner: Any, name: str, stand_in: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, stand_in)
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def _cpu_as_cuda_device() -> Iterator[bool]:
    """On a machine without CUDA, let the CPU pass for the one CUDA device as long as the context lasts.

    CUDA is looked for only now, not when BasicSR is imported: looking is enough to bar it from forked processes.

    Yields:
        Whether the machine is without CUDA.
    """
    no_cuda = not torch.cuda.is_available()
    with ExitStack() as stack:
        if no_cuda:
            stack.enter_context(_replaced(torch.cuda, 'device_count', lambda: 1))
            stack.enter_context(_replaced(torch.cuda, 'current_device', lambda: 0))
            stack.enter_context(_replaced(torch.cuda, 'set_device', lambda device: None))
            stack.enter_context(_replaced(torch.storage._StorageBase, 'cuda', lambda storage, device: storage))
        yield no_cuda


def _on_gloo(original: Callable) -> Callable:
    @functools.wraps(original)
    def start(backend: str, *args: Any, **kwargs: Any) -> None:
        with _cpu_as_cuda_device() as no_cuda:
            original('gloo' if no_cuda and backend == 'nccl' else backend, *args, **kwargs)

    return start


def _leave_process_group() -> None:
    failed = hasattr(sys, 'last_type')  # then nobody waits for the others, or they would hang together
    if torch.distributed.is_initialized() and not failed:
        gc.collect()  # a distributed model that lives on in a cycle, such as MMEngine's Runner is, would keep the group
        torch.distributed.destroy_process_group()


def _without_cuda_on_cpu(function: Callable) -> Callable:
    @functools.wraps(function)
    def on_cpu(*args: Any, **kwargs: Any) -> Any:
        with _cpu_as_cuda_device():
            return function(*args, **kwargs)

    return on_cpu


BEFORE = [torchvision_ops, functional_tensor, lend_distutils]
AFTER = [
    withdraw_distutils,
    lmdb_opened_twice,
    dist_without_cuda,
    process_group_left_open,
    ddp_without_cuda,
    local_rank_argument,
    resume_without_cuda,
]
MMENGINE = [
    mmengine_checkpoints,
    mmengine_dist_without_cuda,
    mmengine_ddp_without_cuda,
    mmengine_amp_without_cuda,
    mmengine_val_without_training,
]

_KEPT_ALIVE: list[torch.library.Library] = []  # a torch library's declarations go when it does
_LENT: list[ModuleType] = []

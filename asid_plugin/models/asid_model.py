"""The model for training and testing ASID: BasicSR's `SRModel` with tiles, mixed precision and exact resuming."""

import errno
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from basicsr.losses import build_loss
from basicsr.utils import get_root_logger
from basicsr.utils.dist_util import master_only
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from asid_plugin.archs import autocast
from asid_plugin.checkpoints import load_asid, save_safetensors
from asid_plugin.compat.gpu import compute_as_built, constants_kept_from_broadcast
from asid_plugin.compat.patching import expect_channels_last_gradients, left_unsaid, replaced
from asid_plugin.compat.ranks import state_of, stop_unless_alike
from asid_plugin.compat.weights import load_any
from asid_plugin.errors import ASIDError
from asid_plugin.files import remove_unfinished, staging
from asid_plugin.inference.devices import enough_memory
from asid_plugin.inference.memory import keep_freed_memory
from asid_plugin.inference.tiling import Windows, self_ensemble, tiled
from asid_plugin.options.asid_keys import ASIDGeneralOptions, ASIDLoggerOptions, ASIDTrainOptions, ASIDValOptions
from asid_plugin.options.optimizers import OPTIMIZERS
from asid_plugin.registry import MODEL_REGISTRY
from asid_plugin.tf32 import allow_tf32

from .divergence import LossWatch
from .resumable import ResumableModel
from .sent_losses import SentLosses, nan_unless_finite
from .summary import summary

AMP_DTYPES = {None: None, 'bf16': torch.bfloat16, 'fp16': torch.float16}


class OutOfMemoryError(ASIDError):
    """A training or test out of memory; the message is one line."""


@MODEL_REGISTRY.register()
class ASIDModel(ResumableModel):
    """`SRModel` with tiled testing, mixed precision, and complete checkpoints that resume exactly.

    The options beyond `SRModel`'s, all optional, are declared in `asid_plugin.options.asid_keys`.
    Any network may be `network_g`, and any of `OPTIMIZERS` `train:optim_g:type`.
    """

    lq: Tensor
    gt: Tensor
    ranks_compared = False
    log_dict: dict[str, float]

    def __init__(self, opt: dict[str, Any]) -> None:
        super().__init__(opt)
        if self.device.type == 'cpu':
            keep_freed_memory()
        for line in summary(opt, self.get_bare_model(self.net_g)):
            get_root_logger().info(line)
        if opt['dist']:
            expect_channels_last_gradients()
        if opt.get('rank') and opt.get('val'):
            opt['val']['pbar'] = False
        if self.general_opt.channels_last:
            _to_channels_last(self.tested_net)
        compile_opt = self.general_opt.compile
        if compile_opt and self.is_train:
            self.get_bare_model(self.net_g).compile(**(compile_opt if isinstance(compile_opt, dict) else {}))

    @property
    def tested_net(self) -> nn.Module:
        """The network for testing: the averaged one, if any."""
        net: nn.Module = getattr(self, 'net_g_ema', self.get_bare_model(self.net_g))
        return net

    @property
    def general_opt(self) -> ASIDGeneralOptions:
        """The options at the top beyond `SRModel`."""
        return ASIDGeneralOptions(self.opt)

    @property
    def train_opt(self) -> ASIDTrainOptions:
        """The options under `train` beyond `SRModel`."""
        return ASIDTrainOptions(self.opt['train'])

    @property
    def val_opt(self) -> ASIDValOptions:
        """The options under `val` beyond `SRModel`."""
        return ASIDValOptions(self.opt.get('val'))

    def model_to_device(self, net: nn.Module) -> nn.Module:
        """As in BasicSR, with settings before the network is wrapped for several processes."""
        if self.general_opt.channels_last:
            net = _to_channels_last(net)
        if self.opt['dist']:
            constants_kept_from_broadcast(net)
        with enough_memory(
            OutOfMemoryError, 'the beginning', 'while loading the network; another program may use the GPU'
        ):
            wrapped: nn.Module = super().model_to_device(net)
        return wrapped

    def init_training_settings(self) -> None:
        """As in BasicSR, with precision, further losses and the teacher."""
        train_opt = self.train_opt
        if not self.opt['rank']:
            for key in ('models', 'training_states'):
                remove_unfinished(self.opt['path'][key])
        if train_opt.tf32:
            get_root_logger().info('train:tf32 is on: float32 has the precision of TF32 in training, not in testing.')
        self.amp = AMP_DTYPES[train_opt.amp]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp == torch.float16)
        self.cri_fft = build_loss(train_opt.fft_opt).to(self.device) if train_opt.fft_opt else None
        self.cri_distill: nn.Module | None = None
        if train_opt.distill_opt:
            self.cri_distill = build_loss(train_opt.distill_opt).to(self.device)
            self.teacher = load_asid(train_opt.teacher or '').to(self.device).requires_grad_(False)
        self.watch = LossWatch(
            weights=lambda: self.get_bare_model(self.net_g).state_dict(),
            scales=self.scaler.is_enabled(),
            kept=f'the states in {self.opt["path"]["training_states"]}',
            warn=get_root_logger().warning,
        )
        super().init_training_settings()

    def get_optimizer(
        self, optim_type: str, params: list[nn.Parameter], lr: float, **kwargs: Any
    ) -> torch.optim.Optimizer:
        """As in BasicSR, which supports only Adam, but for any of `OPTIMIZERS`."""
        optimizer: torch.optim.Optimizer = OPTIMIZERS[optim_type](params, lr=lr, **kwargs)
        return optimizer

    @torch.no_grad()
    def model_ema(self, decay: float = 0.999) -> None:
        """As in BasicSR, with the same numbers, but a few launches on a GPU instead of two for each tensor."""
        averaged, weights = (list(net.parameters()) for net in (self.net_g_ema, self.get_bare_model(self.net_g)))
        torch._foreach_mul_(averaged, decay)
        torch._foreach_add_(averaged, weights, alpha=1 - decay)

    def update_learning_rate(self, current_iter: int, warmup_iter: int = -1) -> None:
        """As in BasicSR; also, at the first call in the loop, all ranks begin alike, or end with one line.

        With val:at_start the first validation comes before the first iteration.
        """
        if self.opt['dist'] and not self.ranks_compared:
            nets = [vars(self)[name] for name in ('net_g', 'net_g_ema', 'teacher') if name in vars(self)]
            begun = f'iteration {current_iter - 1} with weights {state_of(nets, self.optimizers)}'
            stop_unless_alike('the beginning', begun, 'use the same files on every node')
            self.ranks_compared = True
        if current_iter == 1 and self.opt.get('val') is not None and self.val_opt.at_start:
            self.validate_now()
        super().update_learning_rate(current_iter, warmup_iter)

    def feed_data(self, data: dict[str, Any]) -> None:
        """As in BasicSR, with the memory format; a batch in pinned memory is copied to a GPU asynchronously."""
        images = {key: data[key].to(self.device, non_blocking=True) for key in ('lq', 'gt') if key in data}
        super().feed_data(data | images)
        if self.general_opt.channels_last:
            self.lq = self.lq.contiguous(memory_format=torch.channels_last)

    def optimize_parameters(self, current_iter: int) -> None:
        """One step on the batch from `feed_data`.

        Raises:
            DivergedError: A loss of the previous iteration is nan or infinite; nothing more is saved.
            OutOfMemoryError: A smaller batch is needed.
        """
        allow_tf32(self.train_opt.tf32)
        with enough_memory(OutOfMemoryError, f'iteration {current_iter}', self.memory_for_training()):
            sent = SentLosses.send(current_iter, self.take_step(), reduced=self.opt['dist'])
            self.look_at_losses()
            self.watch.sent = sent
            if self.ema_decay > 0:
                self.model_ema(decay=self.ema_decay)
        self.count(current_iter, len(self.lq))

    def take_step(self) -> dict[str, Tensor]:
        """Update the weights by the gradient of the batch, and return its losses by name, one number each."""
        self.optimizer_g.zero_grad()
        num_parts = self.train_opt.accumulate
        parts = list(zip(self.lq.chunk(num_parts), self.gt.chunk(num_parts), strict=True))
        total: dict[str, Tensor] = OrderedDict()
        for i, (lq, gt) in enumerate(parts):
            share = len(lq) / len(self.lq)
            with self.sync_gradients(i == len(parts) - 1):
                losses = self.compute_losses(lq, gt)
                loss = reduce(torch.add, losses.values()) * share
                self.scaler.scale(nan_unless_finite(loss) if self.scaler.is_enabled() else loss).backward()
            for name, loss in losses.items():
                total[name] = total.get(name, 0) + loss.detach() * share
        if grad_clip := self.train_opt.grad_clip:
            self.scaler.unscale_(self.optimizer_g)
            nn.utils.clip_grad_norm_(self.net_g.parameters(), grad_clip)
        self.scaler.step(self.optimizer_g)
        self.scaler.update()
        return total

    def sync_gradients(self, now: bool) -> Any:
        """Context in which backward averages gradients over the ranks, or, unless `now`, postpones it."""
        return self.net_g.no_sync() if isinstance(self.net_g, DistributedDataParallel) and not now else nullcontext()

    def compute_losses(self, lq: Tensor, gt: Tensor) -> dict[str, Tensor]:
        """Weighted losses of a batch by name, in float32; lq (B, C, H, W), gt (B, C, kH, kW)."""
        with torch.autocast(self.device.type, self.amp, enabled=self.amp is not None):
            output = autocast.call(self.net_g, lq)
            taught = autocast.call(self.teacher, lq) if self.cri_distill else None
        output = output.float()
        losses = OrderedDict()
        if self.cri_pix:
            losses['l_pix'] = self.cri_pix(output, gt)
        if self.cri_fft:
            losses['l_fft'] = self.cri_fft(output, gt)
        if self.cri_distill and taught is not None:
            losses['l_distill'] = self.cri_distill(output, taught.float())
        if self.cri_perceptual:
            named = zip(('l_percep', 'l_style'), self.cri_perceptual(output, gt), strict=True)
            losses |= {name: loss for name, loss in named if loss is not None}
        return losses

    def get_current_log(self) -> dict[str, float]:
        """The losses of the last iteration by name; reading them waits for the GPU.

        Raises:
            DivergedError: One of them is nan or infinite.
        """
        self.look_at_losses()
        return self.log_dict

    def look_at_losses(self) -> None:
        """Write the losses sent last to `log_dict`, and check them; see `LossWatch`."""
        losses = self.watch.look()
        if losses is not None:
            self.log_dict = losses

    def memory_for_training(self) -> str:
        """The size of a batch, and options that reduce its memory, in words."""
        amp = '' if self.train_opt.amp else ', or train:amp: bf16'
        less = f'a larger train:accumulate than {self.train_opt.accumulate}, a smaller batch or gt_size{amp}'
        return f'with a batch of {len(self.lq)} at gt_size {self.gt.shape[-1]}; try {less}'

    @torch.inference_mode()
    def test(self) -> None:
        """Upscale `self.lq` to `self.output`, by tiles with val:tile; compilation is only used in training.

        Raises:
            OutOfMemoryError: Smaller tiles are needed.
        """
        net, amp = self.tested_net, AMP_DTYPES[self.val_opt.amp]
        was_training = net.training
        net.eval()
        allow_tf32(False)
        with ExitStack() as stack:
            stack.enter_context(enough_memory(OutOfMemoryError, 'testing', self.memory_for_testing()))
            stack.enter_context(torch.autocast(self.device.type, amp, enabled=amp is not None))
            if self.is_train and self.general_opt.compile:  # else every image size would be recompiled
                stack.enter_context(torch.compiler.set_stance('force_eager'))
            ensemble = self.val_opt.self_ensemble
            self.output = self_ensemble(self.upscale, self.lq) if ensemble else self.upscale(self.lq)
        net.train(was_training)

    def memory_for_testing(self) -> str:
        """The size of an image, and options that reduce its memory, in words."""
        height, width = self.lq.shape[2:]
        tile, amp = self.val_opt.tile, '' if self.val_opt.amp else ', or val:amp: bf16'
        return f'at {width}x{height} pixels; try {f"a val:tile below {tile}" if tile else "val:tile: 64"}{amp}'

    def upscale(self, lq: Tensor) -> Tensor:
        """Run the tested network on (B, C, H, W), whole or by tiles; the result is float32."""
        val, net = self.val_opt, self.tested_net
        windows = Windows.of(net, val.borders)
        if not (val.tile or windows):
            output: Tensor = net(lq)
            return output.float()
        upscale, feather = self.opt['scale'], windows is not None
        return tiled(net, lq, upscale, val.tile, val.tile_overlap, val.tile_batch, feather, windows)

    def dist_validation(self, dataloader: DataLoader[Any], current_iter: int, tb_logger: Any, save_img: bool) -> None:
        """Each rank tests every world_size-th image; a rank without an image tests one that is not counted."""
        num_images = len(dataloader.dataset)  # type: ignore[arg-type]  # not every Dataset of torch has a length
        mine = range(self.opt['rank'], num_images, self.opt['world_size'])
        self.num_val_images = len(mine)
        share = DataLoader(dataloader.dataset, batch_size=1, sampler=mine or [0])
        self.nondist_validation(share, current_iter, tb_logger, save_img and len(mine) > 0)

    def _update_best_metric_result(self, dataset_name: str, metric: str, val: float, current_iter: int) -> None:
        """`nondist_validation` first uses the mean of a rank here: replace it by the mean over all images."""
        if self.opt['dist']:
            total = torch.tensor([val * self.num_val_images, self.num_val_images], dtype=torch.float64).to(self.device)
            torch.distributed.all_reduce(total)
            val = self.metric_results[metric] = (total[0] / total[1]).item()
        super()._update_best_metric_result(dataset_name, metric, val, current_iter)

    def load_network(
        self, net: nn.Module, load_path: str, strict: bool = True, param_key: str | None = 'params'
    ) -> None:
        """As in BasicSR, for any file that `read_state_dict` reads; see `load_any`."""
        load_any(self, net, load_path, strict, param_key)

    def validation(
        self, dataloader: DataLoader[Any], current_iter: int | str, tb_logger: Any, save_img: bool = False
    ) -> None:
        """As in BasicSR, after a check that losses are finite.

        Raises:
            DivergedError: A loss of the last iteration is nan or infinite.
        """
        if self.is_train:
            self.look_at_losses()
        super().validation(dataloader, current_iter, tb_logger, save_img)

    def save(self, epoch: int, current_iter: int) -> None:
        """As in BasicSR, after a check that losses and weights are finite.

        Raises:
            DivergedError: A loss of the last iteration, or a weight, is nan or infinite; existing files are unchanged.
        """
        self.look_at_losses()
        when = 'the end' if current_iter == -1 else f'iteration {current_iter}'
        self.watch.check_weights(when, self.watch.weights())
        super().save(epoch, current_iter)

    @master_only
    def save_network(
        self,
        net: nn.Module | list[nn.Module],
        net_label: str,
        current_iter: int,
        param_key: str | list[str] = 'params',
    ) -> None:
        """As in BasicSR, but the file appears complete or not at all; logger:safetensors adds a second one."""
        with self.staged('models', num_files=1) as folder:
            super().save_network(net, net_label, current_iter, param_key)
            for path in list(folder.iterdir()) if ASIDLoggerOptions(self.opt['logger']).safetensors else ():
                best = self.get_bare_model(net[-1] if isinstance(net, list) else net)  # the averaged network comes last
                save_safetensors(best.state_dict(), path.with_suffix('.safetensors'), self.opt['network_g'])

    @master_only
    def save_training_state(self, epoch: int, current_iter: int) -> None:
        """As in BasicSR, with `progress` and the gradient scaler; the file appears complete or not at all."""
        entries = self.progress() | ({'scaler': self.scaler.state_dict()} if self.scaler.is_enabled() else {})
        save = torch.save  # BasicSR writes the state with it; reading the file again to add entries would take longer
        with (
            self.staged('training_states', num_files=0 if current_iter == -1 else 1),
            replaced(torch, 'save', lambda state, path: save(state | entries, path)),
        ):
            super().save_training_state(epoch, current_iter)

    def resume_training(self, resume_state: dict[str, Any]) -> None:
        """As in BasicSR, with the state of the gradient scaler; optimizers use the current options."""
        for saved, optimizer in zip(resume_state['optimizers'], self.optimizers, strict=False):
            compute_as_built(saved, optimizer)
        if 'scaler' in resume_state:
            self.scaler.load_state_dict(resume_state['scaler'])
        super().resume_training(resume_state)

    @contextmanager
    def staged(self, key: str, num_files: int) -> Iterator[Path]:
        """Let BasicSR write the files of the folder path:`key` to a temporary folder first.

        Raises:
            OSError: It did not write `num_files` complete files: BasicSR only warns when it cannot save. Files in other
                formats than `torch.save`'s are not counted.
        """
        final = self.opt['path'][key]
        with staging(final) as folder, left_unsaid('Just ignore it'):  # here it is an error
            self.opt['path'][key] = str(folder)
            try:
                yield folder
            finally:
                self.opt['path'][key] = final
            # torch.save writes a zip archive with its directory at the end, so a file with a directory is complete.
            if sum(zipfile.is_zipfile(path) for path in folder.iterdir()) != num_files:
                message = 'a checkpoint could not be written; existing files are unchanged. Is the disk full?'
                raise OSError(errno.EIO, message, str(final))


def _to_channels_last(net: nn.Module) -> nn.Module:
    channels_last: nn.Module = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return channels_last

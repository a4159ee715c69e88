"""A network for super-resolution as a model of MMEngine."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from basicsr.losses import build_loss
from mmengine.dist import is_distributed
from mmengine.model import BaseModel
from mmengine.runner.checkpoint import load_state_dict
from mmengine.structures import BaseDataElement
from torch import Tensor

from asid_plugin.archs import autocast  # registers ASID and its blocks in MMEngine's MODELS
from asid_plugin.checkpoints import CheckpointError, read_state_dict
from asid_plugin.compat.patching import expect_channels_last_gradients
from asid_plugin.errors import one_line
from asid_plugin.inference.tiling import Windows, self_ensemble, tiled
from asid_plugin.mmengine.registry import MODELS
from asid_plugin.models.sent_losses import nan_unless_finite
from asid_plugin.tiles import OVERLAP, TILE_BATCH


@MODELS.register_module()
class SuperResolver(BaseModel):
    """Trains a network by a loss between pixels, and upscales whole images or tiles.

    Args:
        generator: The network, from MMEngine's registry; it must have `upscale`, its scale k, like ASID and OmniSR.
        pixel_loss: The loss, from BasicSR's registry.
        pretrained: Weights to start from, any file that `read_state_dict` reads.
        strict_load: All of these must be present and fit; else weights that do not fit are skipped with a warning.
        tile: Side of the test tiles in LR pixels; None for the whole image.
        tile_overlap: Overlap of neighbouring tiles in LR pixels.
        tile_batch: Tiles in a batch.
        self_ensemble: In testing, average over the eight flips and rotations of the image.
        data_preprocessor: As in `BaseModel`.
        borders: In testing, 'flush' uses blended tiles of whole windows, flush with the borders; with 'zeros' the
            network pads at the bottom and right, as in the paper. No effect on networks without windows.

    Raises:
        ValueError: `borders` is invalid.
        CheckpointError: `pretrained` is not a checkpoint or, with `strict_load`, for another network.
    """

    compiled_part = 'generator'
    """The attribute to compile with `compile` of a config."""

    def __init__(
        self,
        generator: dict[str, Any],
        pixel_loss: dict[str, Any],
        pretrained: str | Path | None = None,
        strict_load: bool = True,
        tile: int | None = None,
        tile_overlap: int = OVERLAP,
        tile_batch: int = TILE_BATCH,
        self_ensemble: bool = False,
        data_preprocessor: dict[str, Any] | None = None,
        borders: str = 'flush',
    ) -> None:
        super().__init__(data_preprocessor or {'type': 'SRDataPreprocessor'})
        self.generator = MODELS.build(generator)
        self.pixel_loss = build_loss(pixel_loss)
        self.tile = tile
        self.tile_overlap = tile_overlap
        self.tile_batch = tile_batch
        self.self_ensemble = self_ensemble
        self.windows = Windows.of(self.generator, borders)
        if is_distributed():
            expect_channels_last_gradients()
        if pretrained:
            self.load_pretrained(pretrained, strict_load)

    def load_pretrained(self, path: str | Path, strict: bool) -> None:
        """Load the network's weights; see the class."""
        state_dict = read_state_dict(path)
        if not strict:
            load_state_dict(self.generator, state_dict, logger='current')
            return
        try:
            self.generator.load_state_dict(state_dict)
        except RuntimeError as error:
            raise CheckpointError(f'{path}: {one_line(error)}') from None

    def forward(
        self, inputs: Tensor, data_samples: Sequence[BaseDataElement] | None = None, mode: str = 'tensor'
    ) -> Tensor | dict[str, Tensor] | list[BaseDataElement]:
        """Process a batch from the data preprocessor in one of three modes.

        Args:
            inputs: (B, 3, H, W), RGB in [0, 1].
            data_samples: Further data on the images.
            mode: 'tensor', 'loss' or 'predict'.

        Returns:
            The network's output (B, 3, kH, kW); or the result of `loss` or `predict`.

        Raises:
            ValueError: Another mode.
        """
        if mode == 'tensor':
            return self.generator(inputs)
        if mode == 'loss':
            return self.loss(inputs, data_samples or [])
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        raise ValueError(f'mode must be tensor, loss or predict, got {mode!r}')

    def loss(self, inputs: Tensor, data_samples: Sequence[BaseDataElement]) -> dict[str, Tensor]:
        """The loss, in float32; every sample has `gt` (3, kH, kW), RGB in [0, 1]."""
        gt = torch.stack([sample.gt for sample in data_samples])
        loss = self.pixel_loss(autocast.call(self.generator, inputs).float(), gt)
        return {'loss_pix': nan_unless_finite(loss) if torch.is_autocast_enabled(inputs.device.type) else loss}

    def predict(self, inputs: Tensor, data_samples: Sequence[BaseDataElement] | None = None) -> list[BaseDataElement]:
        """Give every sample `sr`, (3, kH, kW) uint8 BGR on the CPU; samples are made if there are none."""
        with ExitStack() as stack:
            # compiled for training; here every image size would be recompiled
            if self.generator._compiled_call_impl is not None:
                stack.enter_context(torch.compiler.set_stance('force_eager'))
            sr = self_ensemble(self.upscale, inputs) if self.self_ensemble else self.upscale(inputs)
        samples = data_samples or [BaseDataElement() for _ in inputs]
        images = self.data_preprocessor.to_images(sr.float()).cpu()  # once, for metrics and files
        for sample, image in zip(samples, images, strict=True):
            sample.sr = image
        return list(samples)

    def upscale(self, inputs: Tensor) -> Tensor:
        """Run the network on (B, 3, H, W), whole or by tiles."""
        if self.tile is None and self.windows is None:
            return self.generator(inputs)
        upscale, feather = self.generator.upscale, self.windows is not None
        return tiled(
            self.generator, inputs, upscale, self.tile, self.tile_overlap, self.tile_batch, feather, self.windows
        )

"""PSNR and SSIM by BasicSR."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from basicsr.metrics import calculate_psnr, calculate_ssim
from mmengine.evaluator import BaseMetric

from asid_plugin.mmengine.registry import METRICS


class ImageMetric(BaseMetric):
    """Mean of a metric over the images of each data set, named `SET/METRIC`.

    Args:
        crop_border: Pixels cropped on each side; by default the scale of the data.
        test_y_channel: Compare the luma Y of YCbCr instead of the colours.
        **kwargs: Arguments of `BaseMetric`.
    """

    default_prefix = ''  # replaced by the names of the sets
    calculate: ClassVar[Callable[..., float]]
    """BasicSR's function of two (3, H, W) BGR images in [0, 255]."""

    def __init__(self, crop_border: int | None = None, test_y_channel: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.crop_border = crop_border
        self.test_y_channel = test_y_channel

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Compare each sample's `sr` with its `gt`, both (3, H, W) uint8 BGR.

        Raises:
            ValueError: A sample has no `gt`.
        """
        for sample in data_samples:
            if 'gt' not in sample:
                raise ValueError(f"{sample['lq_path']}: no GT image to compare with; data_prefix has no 'gt'")
            figure = type(self).calculate(
                sample['sr'].cpu().numpy(),
                sample['gt'].cpu().numpy(),
                crop_border=sample['scale'] if self.crop_border is None else self.crop_border,
                input_order='CHW',
                test_y_channel=self.test_y_channel,
            )
            self.results.append((sample['dataset'], figure))

    def compute_metrics(self, results: list[tuple[str, float]]) -> dict[str, float]:
        """Means by data set, from the (data set, figure) of every image."""
        by_set = defaultdict(list)
        for dataset, figure in results:
            by_set[dataset].append(figure)
        name = type(self).__name__
        return {f'{dataset}/{name}'.lstrip('/'): sum(each) / len(each) for dataset, each in by_set.items()}


@METRICS.register_module()
class PSNR(ImageMetric):
    """BasicSR's `calculate_psnr`, dB."""

    calculate = staticmethod(calculate_psnr)


@METRICS.register_module()
class SSIM(ImageMetric):
    """BasicSR's `calculate_ssim`."""

    calculate = staticmethod(calculate_ssim)

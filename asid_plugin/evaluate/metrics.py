"""Further metrics besides PSNR and SSIM, by pyiqa, an optional package.

Unlike other libraries it includes metrics without a reference (NIQE, BRISQUE, MUSIQ), and states for each metric
whether lower or higher is better. It may be used for non-commercial purposes only, and most metrics download weights at
first use.
"""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import version
from typing import Any

import torch

from asid_plugin.errors import one_line
from asid_plugin.extras import how_to_install

from .benchmarks import Pixels
from .protocol import to_tensor
from .results import EvaluationError, Metric

OWN = ('psnr', 'ssim')
"""The metrics of the paper's protocol, which are always measured; pyiqa's metrics of these names use other pixels."""
_OF_OTHER_THINGS = {
    'FID': 'compares sets of images',
    'InceptionScore': 'judges sets of images',
    'CLIPScore': 'compares an image with a text',
}
"""pyiqa's classes of metrics that do not score single images."""


@dataclass(frozen=True)
class Scorer:
    """A metric that is ready for use.

    Attributes:
        metric: Its name and direction.
        score: Maps one or two images, (1, 3, H, W) in [0, 1], RGB, on the device, to a number.
        device: 'cpu' or 'cuda'.
        library: The library that computes it, with its version.
    """

    metric: Metric
    score: Callable[..., Any]
    device: str
    library: str

    @torch.inference_mode()
    def __call__(self, sr: Pixels, hr: Pixels, border: int) -> float:
        """Score an SR image.

        Args:
            sr: (H, W, 3), RGB.
            hr: The reference, of the same shape; metrics without one ignore it.
            border: Pixels cropped on each side.

        Raises:
            EvaluationError: The metric fails, for example on an image that is too small.
        """
        images = (sr, hr) if self.metric.full_reference else (sr,)
        try:
            return float(self.score(*(to_tensor(_inside(image, border)).to(self.device) for image in images)))
        except Exception as error:  # each metric fails in another way
            height, width = sr.shape[:2]
            raise EvaluationError(
                f'--metrics {self.metric.name}: {type(error).__name__} at {width - 2 * border}x{height - 2 * border} '
                f'pixels: {one_line(error)}'
            ) from error


def load_scorers(names: Sequence[str], device: str) -> list[Scorer]:
    """Prepare metrics, which may download weights.

    Args:
        names: Names of pyiqa's metrics, in any case; `OWN` and repeated names are skipped.
        device: 'cpu' or 'cuda'.

    Raises:
        EvaluationError: pyiqa is not installed, knows no such metric, or cannot prepare it.
    """
    wanted = dict.fromkeys(name for name in names if name.lower() not in OWN)
    if not wanted:
        return []
    pyiqa = _library(', '.join(wanted))
    with_case = {name.lower(): name for name in pyiqa.list_models()}
    modes = {mode: pyiqa.list_models(metric_mode=mode) for mode in ('FR', 'NR')}
    chosen = dict.fromkeys(_known(name, with_case) for name in wanted)
    return [_prepare(pyiqa, name, name in modes['FR'], device) for name in chosen]


def _library(names: str) -> Any:
    try:
        import pyiqa
    except ModuleNotFoundError as error:
        lacks = '' if error.name == 'pyiqa' else f', which lacks {error.name}'
        raise EvaluationError(
            f'--metrics {names}: needs pyiqa{lacks} (for non-commercial use only): {how_to_install("metrics")}'
        ) from None
    return pyiqa


def _known(name: str, with_case: Mapping[str, str]) -> str:
    """A metric's name as pyiqa spells it."""
    from pyiqa.default_model_configs import DEFAULT_CONFIGS

    if name.lower() not in with_case:
        close = get_close_matches(name.lower(), [*OWN, *with_case], n=3)
        meant = f'; did you mean {" or ".join(close)}?' if close else ''
        raise EvaluationError(
            f'--metrics {name}: unknown{meant} (known: psnr, ssim and metrics of pyiqa, such as lpips, dists, niqe, '
            'musiq)'
        )
    known = with_case[name.lower()]
    of_others = _OF_OTHER_THINGS.get(DEFAULT_CONFIGS[known]['metric_opts']['type'])
    if of_others:
        raise EvaluationError(f'--metrics {name}: it {of_others}; only metrics of single images are supported')
    return known


def _prepare(pyiqa: Any, name: str, full_reference: bool, device: str) -> Scorer:
    try:
        with redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of its dependencies
            score = pyiqa.create_metric(name, device=torch.device(device))
    except Exception as error:  # each metric fails in another way
        weights = ''
        if isinstance(error, OSError):  # such as a connection error
            weights = f'; the download of its weights to {torch.hub.get_dir()} failed'
        raise EvaluationError(f'--metrics {name}: pyiqa cannot prepare it{weights}: {one_line(error)}') from error
    metric = Metric(name, bool(score.lower_better), full_reference)
    return Scorer(metric, score, device, f'pyiqa {version("pyiqa")}')


def _inside(image: Pixels, border: int) -> Pixels:
    height, width = image.shape[:2]
    return image[border : height - border, border : width - border]

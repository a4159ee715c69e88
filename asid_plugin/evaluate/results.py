"""The result of an evaluation: the figures of every method on every image of every set."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from asid_plugin.errors import ASIDError
from asid_plugin.published.reported import Figures


class EvaluationError(ASIDError):
    """An evaluation that is not possible; the message is one line with the mistake, its place and the remedy."""


@dataclass(frozen=True)
class Method:
    """A method that makes SR images.

    Attributes:
        name: 'bicubic', 'ASID', 'SwinIR', ... or a name from the user; the row of Table 1 with this name is shown
            beside it.
        how: 'tiles' (as in the paper), 'tiles 32/8' (other tiles), or 'whole', followed by ' flush' if the borders are
            not padded with zeros as in the paper; '' if this does not apply.
        params: Number of parameters, None if unknown.
        source: The file, option file or folder, '' for bicubic.
        published: Name of its row in Table 1, if that is not `name`.
    """

    name: str
    how: str = ''
    params: int | None = None
    source: str = ''
    published: str = ''

    @property
    def label(self) -> str:
        """The unique name in an evaluation: 'ASID, tiles'."""
        return f'{self.name}, {self.how}' if self.how else self.name

    @property
    def reported_as(self) -> str:
        """The name to look up in Table 1."""
        return self.published or self.name


@dataclass(frozen=True)
class Metric:
    """A metric besides PSNR and SSIM.

    Attributes:
        name: Name in its library, such as 'lpips'.
        lower_is_better: Whether a lower figure is better.
        full_reference: Whether it compares an image with HR, instead of judging the image alone.
    """

    name: str
    lower_is_better: bool
    full_reference: bool

    @property
    def label(self) -> str:
        """The name with an arrow in the direction of better images: 'lpips ↓'."""
        return f'{self.name} {"↓" if self.lower_is_better else "↑"}'


@dataclass
class ImageResult:
    """One image.

    Attributes:
        name: Name of the HR file, without suffix (and without SelfExSR's `_SRF_2_HR`).
        height: Height of the compared HR image, in pixels.
        width: Width of the same image.
        grey: The HR image has no colour, whether its file has one channel or three equal ones.
        cropped: Its size did not fit the scale and was cropped at the bottom and right.
        figures: Figures by the label of the method.
        scores: Scores by the label of the method, then by the name of the metric.
        files: Saved PNG files, by 'HR', 'LR' and the labels of the methods.
    """

    name: str
    height: int
    width: int
    grey: bool = False
    cropped: bool = False
    figures: dict[str, Figures] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)


@dataclass
class SetResult:
    """Results of one benchmark set in `folder`; `layout` describes the files in words."""

    name: str
    folder: Path
    layout: str
    images: list[ImageResult] = field(default_factory=list)

    @property
    def num_cropped(self) -> int:
        """Images that were cropped to fit the scale."""
        return sum(image.cropped for image in self.images)

    @property
    def num_grey(self) -> int:
        """Images without colour."""
        return sum(image.grey for image in self.images)

    def mean(self, label: str) -> Figures:
        """Figures of the method of this label, averaged over the images."""
        figures = [image.figures[label] for image in self.images]
        return Figures(fmean(f.psnr for f in figures), fmean(f.ssim for f in figures))

    def mean_scores(self, label: str) -> dict[str, float]:
        """Scores of the method of this label by the metric's name, averaged over the images."""
        scores = [image.scores.get(label, {}) for image in self.images]
        return {name: fmean(score[name] for score in scores) for name in scores[0]} if scores else {}


@dataclass
class Evaluation:
    """Methods at one scale on sets.

    Attributes:
        scale: k.
        methods: In the order of the table.
        sets: Results by set.
        how: Settings for running networks, in words; '' without networks.
        metrics: The metrics besides PSNR and SSIM.
        scored: The library and device that measured these; '' without further metrics.
    """

    scale: int
    methods: Sequence[Method]
    sets: list[SetResult] = field(default_factory=list)
    how: str = ''
    metrics: Sequence[Metric] = ()
    scored: str = ''

"""The result of an evaluation: figures of every method on every image of every set."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from asid_plugin.errors import ASIDError
from asid_plugin.published.reported import Figures


class EvaluationError(ASIDError):
    """An evaluation that cannot be done; the message is one line with the mistake, its place and the remedy."""


@dataclass(frozen=True)
class Method:
    """Something that makes SR images.

    Attributes:
        name: 'bicubic', 'ASID', 'SwinIR', ... or the user's name for it; Table 1's row of this name is set beside it.
        how: How it was run: 'tiles' (the paper's), 'tiles 32/8' (others), or 'whole', with ' flush' if not with the
            paper's zeros at the borders; '' where that means nothing.
        params: Number of parameters, None where there are none to count.
        source: The file, option file or folder it came from, '' for bicubic.
        published: Name of its row in Table 1, if that is not `name`.
    """

    name: str
    how: str = ''
    params: int | None = None
    source: str = ''
    published: str = ''

    @property
    def label(self) -> str:
        """Its name in an evaluation, which no other method has: 'ASID, tiles'."""
        return f'{self.name}, {self.how}' if self.how else self.name

    @property
    def reported_as(self) -> str:
        """The name under which Table 1 may have it."""
        return self.published or self.name


@dataclass(frozen=True)
class Metric:
    """A figure that is measured besides PSNR and SSIM.

    Attributes:
        name: As the library has it that measures it, such as 'lpips'.
        lower_is_better: Of two images, the one of the lower figure is the better one.
        full_reference: It compares an image with HR; else it judges the image alone.
    """

    name: str
    lower_is_better: bool
    full_reference: bool

    @property
    def label(self) -> str:
        """The name with an arrow to where images are better: 'lpips ↓'."""
        return f'{self.name} {"↓" if self.lower_is_better else "↑"}'


@dataclass
class ImageResult:
    """One image.

    Attributes:
        name: The HR file's, without suffix (and without SelfExSR's `_SRF_2_HR`).
        height: Of the HR image that was compared, in pixels.
        width: The same.
        grey: The HR image has no colour, whether its file has one channel or three equal ones.
        cropped: Its size did not fit the scale and was cropped at the bottom and right.
        figures: By the method's label.
        scores: By the method's label, then by the metric's name.
        files: PNG files, if images were saved: 'HR', 'LR', and by the method's label.
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
    """One benchmark set; `layout` says in words which files were taken, `folder` where they are."""

    name: str
    folder: Path
    layout: str
    images: list[ImageResult] = field(default_factory=list)

    @property
    def num_cropped(self) -> int:
        """Images whose size did not fit the scale."""
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
        sets: What was found.
        how: How networks were run, in words; '' if there are none.
        metrics: Those besides PSNR and SSIM.
        scored: By which library and on which device these were measured; '' if there are none.
    """

    scale: int
    methods: Sequence[Method]
    sets: list[SetResult] = field(default_factory=list)
    how: str = ''
    metrics: Sequence[Metric] = ()
    scored: str = ''

"""Run the evaluation: every method on every image."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from asid_plugin.images import Image, ImageError, write_image
from asid_plugin.printable import printable

from .benchmarks import Benchmark, Pixels, Sample, load_sample
from .methods import Candidate, Network, slug
from .metrics import Scorer
from .protocol import measure
from .results import Evaluation, EvaluationError, ImageResult, SetResult


def evaluate(
    sets: Sequence[Benchmark],
    candidates: Sequence[Candidate],
    scale: int,
    images: Path | None = None,
    progress: bool = True,
    scorers: Sequence[Scorer] = (),
) -> Evaluation:
    """Run every candidate on every image of the sets and compare.

    All files are read before anything is computed, so that a wrong file is found at once.

    Args:
        sets: From `find_sets`.
        candidates: From `load_candidates`.
        scale: k.
        images: Where to save HR, LR and SR images, as SET/IMAGE/HR.png; None to save none.
        progress: Show bars.
        scorers: Scorers of further metrics. Each is tried on the smallest image before anything is upscaled.

    Raises:
        EvaluationError: An image, a method or a metric fails; the message names them.
    """
    how = dict.fromkeys(str(candidate.running) for candidate in candidates if isinstance(candidate, Network))
    result = Evaluation(scale, [candidate.method for candidate in candidates], how='; '.join(how))
    if scorers:
        result.metrics = [scorer.metric for scorer in scorers]
        result.scored = ', '.join(dict.fromkeys(f'{scorer.library} on {scorer.device}' for scorer in scorers))
    least: Sample | None = None
    num_images = sum(len(benchmark.pairs) for benchmark in sets)
    quiet = None if progress else True  # None: bars only on a terminal
    with tqdm(total=num_images, desc='reading', unit='image', disable=quiet, delay=1, leave=False) as bar:
        for benchmark in sets:
            for pair in benchmark.pairs:
                sample = load_sample(pair, scale, benchmark.name)
                for candidate in candidates:
                    candidate.check(sample)
                if least is None or min(sample.hr.shape[:2]) < min(least.hr.shape[:2]):
                    least = sample
                bar.update()
    if least is not None:  # metrics that need a minimum size fail on it first
        _score('HR', least.hr, least, scorers, scale)
    with tqdm(total=num_images * len(candidates), unit='image', disable=quiet, leave=False) as bar:
        for benchmark in sets:
            found = SetResult(benchmark.name, benchmark.folder, benchmark.layout)
            result.sets.append(found)
            for pair in benchmark.pairs:
                bar.set_description(printable(f'{benchmark.name}/{pair.name}'))
                sample = load_sample(pair, scale, benchmark.name)
                folder = images and images / benchmark.name / pair.name
                found.images.append(evaluate_image(sample, candidates, scale, folder, bar.update, scorers))
    return result


def evaluate_image(
    sample: Sample,
    candidates: Sequence[Candidate],
    scale: int,
    folder: Path | None = None,
    progress: Callable[[], object] = lambda: None,
    scorers: Sequence[Scorer] = (),
) -> ImageResult:
    """Run every candidate on one image; as `evaluate`, but `progress` is called after each candidate."""
    height, width = sample.hr.shape[:2]
    result = ImageResult(sample.name, height, width, sample.grey, sample.cropped)
    if folder:
        result.files |= {'HR': _save(sample.hr, folder / 'HR.png'), 'LR': _save(sample.lq, folder / 'LR.png')}
    for candidate in candidates:
        label = candidate.method.label
        try:
            sr = candidate(sample)
        except EvaluationError as error:
            raise EvaluationError(f'{label} on {_name(sample)}: {error}') from error
        result.figures[label] = measure(sr, sample.hr, scale)
        result.scores[label] = _score(label, sr, sample, scorers, scale)
        if folder:
            result.files[label] = _save(sr, folder / f'{slug(label)}.png')
        progress()
    return result


def _score(label: str, sr: Pixels, sample: Sample, scorers: Sequence[Scorer], border: int) -> dict[str, float]:
    try:
        return {scorer.metric.name: scorer(sr, sample.hr, border) for scorer in scorers}
    except EvaluationError as error:
        raise EvaluationError(f'{label} on {_name(sample)}: {error}') from error


def _name(sample: Sample) -> str:
    return f'{sample.set_name}/{sample.name}'.lstrip('/')


def _save(pixels: Pixels, path: Path) -> Path:
    try:
        write_image(Image(pixels), path)
    except ImageError as error:
        raise EvaluationError(str(error)) from error
    return path

"""The table of an evaluation with the paper's rows: as objects, Markdown and CSV."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asid_plugin.markdown import table as markdown_table
from asid_plugin.markdown import text
from asid_plugin.printable import printable
from asid_plugin.published.reported import Figures, reported_row

from .results import Evaluation, Method, Metric, SetResult

COLUMNS = ('scale', 'set', 'image', 'method', 'how', 'params', 'source', 'psnr', 'ssim')
"""Columns of the CSV file, before the columns of further metrics."""


@dataclass(frozen=True)
class TableRow:
    """A line of the table.

    Attributes:
        label: Label of the method, or 'ASID, as the paper reports'.
        params: '297,516', or '298K' as in the paper; '' for bicubic.
        figures: Means by set.
        reported: Whether these are the paper's figures.
        scores: Means of the further metrics by set, then by name; the paper has none.
    """

    label: str
    params: str
    figures: dict[str, Figures]
    reported: bool = False
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def cells(self, set_name: str, metrics: Sequence[Metric]) -> list[str]:
        """PSNR and SSIM on a set, and a cell for each further metric; missing values are empty."""
        scores = self.scores.get(set_name, {})
        further = [f'{scores[metric.name]:.4f}' if metric.name in scores else '' for metric in metrics]
        return [str(self.figures.get(set_name, '')), *further]


def rows(evaluation: Evaluation) -> list[TableRow]:
    """A row for every method, each followed by its row in Table 1 at this scale, if any.

    The paper ran networks on tiles, so for a network with both ways the paper's row follows the row for tiles.
    """
    tiled = {method.reported_as for method in evaluation.methods if method.how == 'tiles'}
    table, seen = [], set()
    for method in evaluation.methods:
        params = f'{method.params:,}' if method.params is not None else ''
        figures = {found.name: found.mean(method.label) for found in evaluation.sets}
        scores = {found.name: found.mean_scores(method.label) for found in evaluation.sets}
        table.append(TableRow(method.label, params, figures, scores=scores))
        reported = _reported(method, evaluation)
        name = method.reported_as
        if reported and name not in seen and (method.how == 'tiles' or name not in tiled):
            seen.add(name)
            table.append(reported)
    return table


def _reported(method: Method, evaluation: Evaluation) -> TableRow | None:
    row = reported_row(evaluation.scale, method.reported_as)
    if row is None:
        return None
    names = [found.name for found in evaluation.sets]
    figures = {name: row.figures[name] for name in names if name in row.figures}
    if not figures:
        return None
    return TableRow(f'{row.method}, as the paper reports', f'{row.params_k}K', figures, reported=True)


def notes(evaluation: Evaluation) -> list[str]:
    """Notes of one sentence each: the protocol, the settings of networks, and the files of each set."""
    scale = evaluation.scale
    figures = f"BasicSR's PSNR in dB / SSIM on Y of 8-bit images, with {scale} pixels cropped on each side"
    lines = [f'Scale {scale}; means over the images of {figures}.']
    if evaluation.metrics:
        lines.append(_describe_metrics(evaluation))
    if evaluation.how:
        lines.append(f'Networks: {evaluation.how}.')
    return lines + [_describe(found, scale) for found in evaluation.sets]


def _describe_metrics(evaluation: Evaluation) -> str:
    kinds = {True: 'compared with HR', False: 'without a reference'}
    words = '; '.join(
        f'{words}: {", ".join(of_kind)}'
        for kind, words in kinds.items()
        if (of_kind := [metric.label for metric in evaluation.metrics if metric.full_reference is kind])
    )
    scale = evaluation.scale
    return (
        f'Measured by {evaluation.scored} on 8-bit RGB with {scale} pixels cropped on each side (↓ lower is better, ↑ '
        f'higher), {words}.'
    )


def header(evaluation: Evaluation) -> list[tuple[str, list[str]]]:
    """For each set, its name and the titles of the columns of further metrics."""
    return [
        (found.name, [f'{found.name}, {metric.label}' for metric in evaluation.metrics]) for found in evaluation.sets
    ]


def _describe(found: SetResult, scale: int) -> str:
    num = len(found.images)
    line = f'{found.name}: {found.layout}; {num} {"image" if num == 1 else "images"}'
    if found.num_grey:
        line += f', {found.num_grey} of them grey'
    if found.num_cropped:
        verb = 'was' if found.num_cropped == 1 else 'were'
        line += f'; {found.num_cropped} of {num} {verb} cropped to a multiple of {scale}'
    return f'{line}.'


def markdown(evaluation: Evaluation) -> str:
    """The table and the notes, as Markdown."""
    titles = [title for name, further in header(evaluation) for title in (name, *further)]
    lines = [
        [
            *(text(row.label), row.params),
            *(cell for found in evaluation.sets for cell in row.cells(found.name, evaluation.metrics)),
        ]
        for row in rows(evaluation)
    ]
    table = markdown_table(['method', 'parameters', *map(text, titles)], lines)
    return f'{table}\n\n' + '\n'.join(f'- {text(note)}' for note in notes(evaluation)) + '\n'


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """Write a line for every set, image and method, and the means over a set as lines without an image."""
    with path.open('w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        names = [metric.name for metric in evaluation.metrics]
        writer.writerow([*COLUMNS, *names])
        for found in evaluation.sets:
            labels = [method.label for method in evaluation.methods]
            figures = [(image.name, image.figures, image.scores) for image in found.images]
            means = {label: found.mean(label) for label in labels}
            figures.append(('', means, {label: found.mean_scores(label) for label in labels}))
            for image, by_label, scores in figures:
                for method in evaluation.methods:
                    params = '' if method.params is None else method.params
                    of = [printable(method.name), method.how, params, printable(method.source)]
                    psnr, ssim = by_label[method.label].psnr, by_label[method.label].ssim
                    further = [f'{scores[method.label][name]:.6f}' for name in names]
                    where = [evaluation.scale, *map(printable, (found.name, image))]
                    writer.writerow([*where, *of, f'{psnr:.4f}', f'{ssim:.6f}', *further])

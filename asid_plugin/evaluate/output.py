"""Write the files of an evaluation: the table, all figures as CSV, and the HTML report."""

from pathlib import Path

from asid_plugin.files import staging

from .report import write_report
from .results import Evaluation
from .table import write_csv


def write(evaluation: Evaluation, table: str, folder: Path, html: bool) -> list[Path]:
    """Write the files of an evaluation, all of them or none; returns their paths."""
    with staging(folder) as unfinished:
        (unfinished / 'evaluation.md').write_text(table, encoding='utf-8')
        write_csv(evaluation, unfinished / 'evaluation.csv')
        if html:
            write_report(evaluation, unfinished / 'report.html')
        names = sorted(path.name for path in unfinished.iterdir())
    return [folder / name for name in names]

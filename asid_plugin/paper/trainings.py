"""All trainings behind the tables and figures of the paper, as data for `asid paper plan`.

Figures 2 to 4 are drawings. Figure 6 shows a network without sharing, like several in Table 3. Figure 5 and the
supplement's Figure 2 show networks of Table 1.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Training:
    """A training of the paper.

    Attributes:
        file: Its option file, relative to the folder of option files.
        parts: The tables and figures that need it, by their names in `asid paper`.
        iterations: Iterations from the paper if stated; those of RealSR are from this project.
        after: The option file of the training that provides its initial weights; '' for random weights.
    """

    file: str
    parts: tuple[str, ...]
    iterations: int
    after: str = ''


FULL = 3_200_000
"""1000 epochs of 3,200 iterations."""
ABLATION = 640_000
"""200 epochs."""
FINE_TUNING = 200_000

TRAININGS = (
    Training('train_ASID_x2.yml', ('table1', 'figure1'), FULL),
    Training('train_ASID_x3.yml', ('table1',), FULL),
    Training('train_ASID_x4.yml', ('table1', 'table2', 'figure5', 'supplement-figure2'), FULL),
    Training('train_ASID_D8_x2.yml', ('table1', 'figure1'), FULL),
    Training('train_ASID_D8_x3.yml', ('table1',), FULL),
    Training('train_ASID_D8_x4.yml', ('table1', 'table2'), FULL),
    Training('ablation/train_Baseline_x2.yml', ('table3',), ABLATION),
    Training('ablation/train_ID_x2.yml', ('table3',), ABLATION),
    Training('ablation/train_ID_AS_x2.yml', ('table3',), ABLATION),
    Training('ablation/train_ID_CS_x2.yml', ('table3',), ABLATION),
    Training('ablation/train_ID_AS_CS_x2.yml', ('table3', 'table4', 'figure7'), ABLATION),
    Training('ablation/train_IntraGroup_x2.yml', ('table4',), ABLATION),
    Training('ablation/train_N2_x2.yml', ('figure7',), ABLATION),
    Training('ablation/train_N4_x2.yml', ('figure7',), ABLATION),
    Training('ablation/train_N5_x2.yml', ('figure7',), ABLATION),
    Training('ablation/train_N6_x2.yml', ('figure7',), ABLATION),
    Training('ablation/train_N7_x2.yml', ('figure7',), ABLATION),
    Training('ablation/train_N8_x2.yml', ('figure7',), ABLATION),
    Training('ablation/train_OmniSR_ratio100_x2.yml', ('supplement-figure1',), ABLATION),
    Training('ablation/train_OmniSR_ratio075_x2.yml', ('supplement-figure1',), ABLATION),
    Training('ablation/train_OmniSR_ratio050_x2.yml', ('supplement-figure1',), ABLATION),
    Training('ablation/train_OmniSR_ratio025_x2.yml', ('supplement-figure1',), ABLATION),
    Training('realsr/train_ASID_RealSR_x3.yml', ('supplement-table1',), FINE_TUNING, 'train_ASID_x3.yml'),
    Training('realsr/train_ASID_RealSR_x4.yml', ('supplement-table1',), FINE_TUNING, 'train_ASID_x4.yml'),
)
"""In training order: each comes after the training that it needs."""

PARTS = tuple(dict.fromkeys(part for training in TRAININGS for part in training.parts))
"""The tables and figures with trainings."""


def trainings_for(parts: tuple[str, ...]) -> tuple[Training, ...]:
    """The trainings of some tables and figures, by default all, with the trainings that they need."""
    chosen = {training.file for training in TRAININGS if not parts or not set(parts).isdisjoint(training.parts)}
    chosen |= {training.after for training in TRAININGS if training.file in chosen}
    return tuple(training for training in TRAININGS if training.file in chosen)

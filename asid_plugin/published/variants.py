"""All networks of the paper: a row each, with its arguments and its place in the tables.

From these rows `scripts/maintain/make_options.py` generates the option files in `options/ablation` and checks the
others, and `asid paper` counts its tables. To add a variant, add a row and run `scripts/maintain/make_options.py`.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from asid_plugin.archs import ASID, OmniSR

NETWORKS: Mapping[str, type[ASID | OmniSR]] = {'ASID': ASID, 'OmniSR': OmniSR}
"""Classes by the name in `network_g: type` of option files."""


@dataclass(frozen=True)
class Variant:
    """A network of the paper.

    Attributes:
        name: Name at its first appearance in the paper.
        arguments: Arguments of the network, without `upscale`.
        network: Its name in `NETWORKS`.
        upscales: Scales in the paper.
        reported: Its rows in tables: {CSV file in `published/data`: value of its first text column}.
        full: Whether it is trained for 1000 epochs, by `options/train_NAME_xK.yml`.
        ablation: Its name if it is trained for 200 epochs at x2, by `options/ablation/train_ABLATION_x2.yml`, else ''.
        depth: N in Figure 7, else 0.
    """

    name: str
    arguments: Mapping[str, Any]
    network: str = 'ASID'
    upscales: tuple[int, ...] = (2,)
    reported: Mapping[str, str] = field(default_factory=dict)
    full: bool = False
    ablation: str = ''
    depth: int = 0

    @property
    def stem(self) -> str:
        """Its name in file names."""
        return self.name.replace('-', '_')

    def network_g(self, upscale: int) -> dict[str, Any]:
        """The section `network_g` of an option file."""
        width = {'num_feat': 48} if self.network == 'ASID' else {}
        return {'type': self.network, **width, **self.arguments, 'upscale': upscale}

    def build(self, upscale: int) -> ASID | OmniSR:
        """The network with random weights."""
        arguments = self.network_g(upscale)
        return NETWORKS[arguments.pop('type')](**arguments)


TABLE1, TABLE2, TABLE3, TABLE4 = 'table1', 'table2_complexity_x4', 'table3_ablation_x2', 'table4_sharing_x2'
"""The CSV files of Tables 1 to 4."""

VARIANTS = (
    Variant(
        'ASID',
        {'num_block': 3},
        upscales=(2, 3, 4),
        reported={TABLE1: 'ASID', TABLE2: 'ASID', TABLE3: 'ID+AS+CS', TABLE4: 'inter'},
        full=True,
        ablation='ID_AS_CS',
        depth=3,
    ),
    Variant(
        'ASID-D8',
        {'num_block': 8},
        upscales=(2, 3, 4),
        reported={TABLE1: 'ASID-D8', TABLE2: 'ASID-D8'},
        full=True,
        ablation='N8',
        depth=8,
    ),
    Variant(
        'Baseline',
        {'num_block': 3, 'sharing': 'none', 'distillation': False, 'channel_split': False},
        reported={TABLE3: 'Baseline'},
        ablation='Baseline',
    ),
    Variant(
        'ID',
        {'num_block': 3, 'sharing': 'none', 'channel_split': False},
        reported={TABLE3: 'ID'},
        ablation='ID',
    ),
    Variant('ID+AS', {'num_block': 3, 'channel_split': False}, reported={TABLE3: 'ID+AS'}, ablation='ID_AS'),
    Variant('ID+CS', {'num_block': 3, 'sharing': 'none'}, reported={TABLE3: 'ID+CS'}, ablation='ID_CS'),
    Variant('IntraGroup', {'num_block': 3, 'sharing': 'intra'}, reported={TABLE4: 'intra'}, ablation='IntraGroup'),
    *(Variant(f'N={n}', {'num_block': n}, ablation=f'N{n}', depth=n) for n in (2, 4, 5, 6, 7)),
    *(
        Variant(
            f'Omni-SR (ratio {ratio:g})',
            {'num_feat': 64, 'num_block': 3, 'channel_split': ratio},
            network='OmniSR',
            ablation=f'OmniSR_ratio{100 * ratio:03.0f}',
        )
        for ratio in (1.0, 0.75, 0.5, 0.25)
    ),
)

BY_NAME: Mapping[str, Variant] = MappingProxyType({variant.name: variant for variant in VARIANTS})


def reported_in(table: str) -> dict[str, Variant]:
    """The variants in a table of the paper by their names there, in the order of `VARIANTS`."""
    return {variant.reported[table]: variant for variant in VARIANTS if table in variant.reported}


def depths() -> dict[int, Variant]:
    """Figure 7's networks by their number of blocks N."""
    return dict(sorted((variant.depth, variant) for variant in VARIANTS if variant.depth))


def channel_splits() -> dict[float, Variant]:
    """The networks of the supplement's Figure 1 by the ratio of channels with attention."""
    return {variant.arguments['channel_split']: variant for variant in VARIANTS if variant.network == 'OmniSR'}


def find(network_g: Mapping[str, Any]) -> Variant | None:
    """The variant that a section `network_g` describes, at any scale; None if the paper has no such network."""
    wanted = _all_arguments(network_g)
    return next((v for v in VARIANTS if wanted and _all_arguments(v.network_g(wanted['upscale'])) == wanted), None)


def _all_arguments(network_g: Mapping[str, Any]) -> dict[str, Any]:
    """The section with defaults for the arguments that it leaves out; nothing for networks that are not here."""
    if network_g.get('type') not in NETWORKS:
        return {}
    parameters = inspect.signature(NETWORKS[network_g['type']]).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters} | dict(network_g)

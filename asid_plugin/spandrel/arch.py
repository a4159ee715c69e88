"""ASID for spandrel, with which ComfyUI, chaiNNer and traiNNer-redux load models.

`asid_plugin.hosts.spandrel` registers it when spandrel is imported: `spandrel.ModelLoader` recognises checkpoints of
ASID by their keys. The network is imported at the first load.
"""

from typing import TYPE_CHECKING, Any

from asid_plugin.layouts.parts import network_part, network_prefixes
from asid_plugin.layouts.state_dict import beyond_the_paper, is_asid

# isort: split
from spandrel import (
    MAIN_REGISTRY,
    Architecture,
    ArchRegistry,
    ArchSupport,
    ImageModelDescriptor,
    ModelTiling,
    SizeRequirements,
    StateDict,
)

if TYPE_CHECKING:
    from asid_plugin.archs import ASID


MOST_NETWORKS = 8
"""Most keys of a file that are checked."""


class ASIDArch(Architecture['ASID']):
    """ASID, ASID-D8 and the paper's ablations, in our layout or the authors'."""

    def __init__(self) -> None:
        super().__init__(id='ASID', detect=_holds_asid)

    def load(self, state_dict: StateDict) -> 'ImageModelDescriptor[ASID]':
        """Build the network of a state dict, for spandrel's registry.

        Args:
            state_dict: A state dict that `detect` accepts.

        Raises:
            ValueError: It has several networks, or weights are missing or do not fit each other.
        """
        # imported here, because most programs that import spandrel never load an ASID
        from asid_plugin.archs import ASID
        from asid_plugin.checkpoints.reading import fitting

        arguments, weights = fitting(ASID, network_part(state_dict))
        return ImageModelDescriptor(
            ASID(**arguments),
            weights,
            architecture=self,
            purpose='SR' if arguments['upscale'] > 1 else 'Restoration',
            tags=tags(arguments),
            supports_half=True,
            supports_bfloat16=True,
            scale=arguments['upscale'],
            input_channels=arguments['num_in_ch'],
            output_channels=arguments['num_out_ch'],
            # none, because the network pads to whole windows with zeros; spandrel's mirroring would change the result
            size_requirements=SizeRequirements(),
            tiling=ModelTiling.SUPPORTED,
        )


def _holds_asid(state_dict: StateDict) -> bool:
    keys = [key for key in state_dict if isinstance(key, str)]
    prefixes = network_prefixes(state_dict)[:MOST_NETWORKS]
    return any(is_asid({key[len(name) :]: None for key in keys if key.startswith(name)}) for name in prefixes)


def tags(arguments: dict[str, Any]) -> list[str]:
    """The arguments of an ASID in spandrel's form, such as ['ASID-D8', '48nf', '8nb', 'w8', 'inter']."""
    from asid_plugin.published.variants import find

    variant = find({'type': 'ASID', **arguments})
    named = [variant.name] if variant else []
    sizes = [f'{arguments["num_feat"]}nf', f'{arguments["num_block"]}nb', f'w{arguments["window_size"]}']
    without = [f'no {name}' for name in ('distillation', 'channel_split') if not arguments[name]]
    return [*named, *sizes, arguments['sharing'], *without, *beyond_the_paper(arguments)]


def install(registry: ArchRegistry = MAIN_REGISTRY) -> list[ArchSupport]:
    """Add ASID to a registry of spandrel, unless it is there.

    Returns:
        The added architectures.
    """
    # before all others, because ASID's keys are unique, and other checks may be looser
    others = tuple(support.architecture.id for support in registry)
    return registry.add(ArchSupport.from_architecture(ASIDArch(), others), ignore_duplicates=True)

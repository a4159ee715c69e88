"""Write networks in the form of the hub, and upload them."""

import json
from pathlib import Path
from typing import Any

from asid_plugin.archs.windowed import WindowedSR
from asid_plugin.checkpoints import save_safetensors
from asid_plugin.errors import one_line
from asid_plugin.files import staging

from .card import model_card
from .config import NAME as CONFIG
from .errors import HubError, need_library
from .origin import metadata_of
from .reading import WEIGHTS

CARD = 'README.md'


def save_pretrained(
    net: WindowedSR,
    save_directory: str | Path,
    *,
    license: str | None = None,
    push_to_hub: bool = False,
    repo_id: str | None = None,
    **options: Any,
) -> None:
    """Write a network to a folder, all of its files or none; an existing model card is not changed.

    Args:
        net: The network.
        save_directory: The folder, created if it is missing.
        license: Identifier of the licence of the weights on the hub, such as 'mit'; by default from their source file,
            else 'unknown'.
        push_to_hub: Upload the network too.
        repo_id: OWNER/NAME; by default the name of the folder.
        **options: With `push_to_hub`, the options of that function.

    Raises:
        HubError: huggingface_hub is not installed, or the hub refuses.
        OSError: The folder cannot be written.
        TypeError: Options are given without `push_to_hub`.
    """
    if options and not push_to_hub:
        raise TypeError(f'save_pretrained: {", ".join(options)}: only valid with push_to_hub=True')
    name = repo_id or Path(save_directory).name
    _on_hub('save_pretrained', net, license, repo_id or '').save_pretrained(save_directory, repo_id=name)
    if push_to_hub:
        upload(net, name, license=license, **options)


def upload(net: WindowedSR, repo_id: str, *, license: str | None = None, **options: Any) -> str:
    """Upload a network to a repository, which is created if it is missing.

    Args:
        net: The network.
        repo_id: OWNER/NAME.
        license: As in `save_pretrained`.
        **options: Options of `PyTorchModelHubMixin.push_to_hub`.

    Returns:
        The URL of the commit.

    Raises:
        HubError: huggingface_hub is not installed, or the hub refuses.
    """
    on_hub = _on_hub('push_to_hub', net, license, repo_id)
    try:
        return str(on_hub.push_to_hub(repo_id, **options))
    except TypeError:  # an option that it does not have
        raise
    except Exception as error:  # an error of the hub or the connection, from any underlying library
        raise HubError(f'{repo_id}: not uploaded: {one_line(error)}') from error


def _on_hub(purpose: str, net: WindowedSR, license: str | None, repo_id: str = '') -> Any:
    """The network in the hub's mixin, which has the methods to save and upload it."""
    need_library(purpose)
    from huggingface_hub import ModelCard, PyTorchModelHubMixin

    class OnHub(PyTorchModelHubMixin):
        """Saves the network instead of itself, so that networks need no base class from the hub."""

        def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
            folder = Path(save_directory)
            with staging(folder) as unfinished:
                done = super().save_pretrained(unfinished, **options)
                if (folder / CARD).exists():
                    (unfinished / CARD).unlink()
            return done

        def _save_pretrained(self, save_directory: Path) -> None:
            network_g = {'type': type(net).__name__, **net.arguments}
            save_safetensors(net.state_dict(), save_directory / WEIGHTS, network_g, metadata_of(net))
            config = json.dumps(net.arguments, indent=2, sort_keys=True)
            (save_directory / CONFIG).write_text(f'{config}\n', encoding='utf-8')

        def generate_model_card(self, *_arguments: Any, **_options: Any) -> ModelCard:
            return ModelCard(model_card(net, license, repo_id))

    return OnHub()

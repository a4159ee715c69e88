"""Networks in folders and repositories of the Hugging Face hub, with the methods of its mixin."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

Net = TypeVar('Net', bound='Pretrained')


class Pretrained:
    """The methods of huggingface_hub's `PyTorchModelHubMixin`, without its import: `asid_plugin.hub` carries them out.

    Attributes:
        origin: An `asid_plugin.hub.Origin`, the metadata of the weights; None if nothing is known.
    """

    origin: Any = None

    @classmethod
    def from_pretrained(cls: type[Net], name: str | Path, **options: Any) -> Net:
        """Load a trained network: on the CPU, float32, in eval mode.

        Args:
            name: A folder that `save_pretrained` wrote, a repository of the hub (OWNER/NAME), a checkpoint file, or
                `packaged:xK`, the weights that come with the package.
            **options: For a repository, those of `asid_plugin.hub.from_pretrained`: revision, token, cache_dir,
                force_download, local_files_only.

        Raises:
            ASIDError: The network does not exist, or its files are damaged, too large or for another network.
        """
        return _hub().from_pretrained(cls, name, **options)

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> None:
        """Write model.safetensors, config.json and a model card to a folder; an existing card is not changed.

        Args:
            save_directory: The folder, created if it is missing.
            **options: `license`, the identifier of the weights' licence on the hub; `push_to_hub=True` uploads the
                network too, with `repo_id` (by default the name of the folder) and the options of `push_to_hub`.

        Raises:
            ASIDError: huggingface_hub is not installed, or the hub refuses.
            OSError: The folder cannot be written.
        """
        _hub().save_pretrained(self, save_directory, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the files that `save_pretrained` writes to a repository, which is created if it is missing.

        An existing model card is replaced, unless `ignore_patterns='README.md'` is given.

        Args:
            repo_id: OWNER/NAME.
            **options: `license`, as in `save_pretrained`, and the options of `PyTorchModelHubMixin.push_to_hub`:
                private, token, branch, create_pr, commit_message, ignore_patterns.

        Returns:
            The URL of the commit.

        Raises:
            ASIDError: huggingface_hub is not installed, or the hub refuses.
        """
        return _hub().push_to_hub(self, repo_id, **options)


def _hub() -> ModuleType:
    return import_module('asid_plugin.hub')  # by its name, because the network imports no layer above it

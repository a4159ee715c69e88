"""Read networks from folders and repositories of the hub, which are untrusted.

Weights are read from .safetensors only, with the checks of `asid_plugin.checkpoints`; pickles are refused.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from asid_plugin.archs.windowed import WindowedSR
from asid_plugin.checkpoints import CheckpointError, WeightsError, is_packaged, packaged_file, read_state_dict
from asid_plugin.checkpoints.packaged import metadata as metadata_in
from asid_plugin.checkpoints.reading import fitting
from asid_plugin.errors import one_line

from .config import MOST_BYTES as MOST_BYTES_OF_CONFIG
from .config import NAME as CONFIG
from .config import read_config, with_config
from .errors import HubError, need_library
from .origin import Origin

WEIGHTS = 'model.safetensors'
PICKLES = ('pytorch_model.bin', 'model.pth', 'model.pt', 'model.ckpt')
"""Files of weights in other formats, only for messages."""
MOST_BYTES = 2**30
"""Most bytes of a file of weights; the file of ASID-D8 has three million."""
OF_PACKAGED = {
    'license': 'apache-2.0',
    'terms': 'free licences that allow commercial use; weights/photographs.csv of asid_plugin names the photographs, '
    'their authors and their licences',
}
"""Metadata of the packaged weights that are not in their files."""

Net = TypeVar('Net', bound=WindowedSR)


@dataclass(frozen=True)
class Files:
    """The files of a network: its weights, its config.json, if any, and its name in messages."""

    name: str
    weights: Path
    config: Path | None = None


def from_pretrained(
    arch: type[Net],
    name: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> Net:
    """Load a trained network: on the CPU, float32, in eval mode.

    Args:
        arch: `ASID` or `OmniSR`.
        name: A folder with model.safetensors, a repository of the hub with one, a checkpoint file, or `packaged:xK`.
        revision: Branch, tag or commit of the repository.
        token: Token for the hub; by default the one saved by `hf auth login`.
        cache_dir: Folder for downloads; by default the cache of huggingface_hub.
        force_download: Download again.
        local_files_only: Use only files that were downloaded before.

    Raises:
        HubError: The folder or repository does not exist, or has no readable network of this class.
        CheckpointError: The weights are damaged.
    """
    if is_packaged(name) or os.path.isfile(name):  # noqa: PTH113  # Path's raises for names too long
        return _load(arch, Files(str(name), Path(name)))
    if os.path.isdir(name):  # noqa: PTH112
        return _load(arch, in_folder(Path(name)))
    options = {
        'revision': revision,
        'token': token,
        'cache_dir': cache_dir,
        'force_download': force_download,
        'local_files_only': local_files_only,
    }
    return _load(arch, in_repository(str(name), options))


def in_folder(folder: Path) -> Files:
    """The files of a network in a folder.

    Raises:
        HubError: The folder has no readable weights, or they are too large.
    """
    weights, config = folder / WEIGHTS, folder / CONFIG
    if not weights.is_file():
        pickles = [name for name in PICKLES if (folder / name).exists()]
        raise HubError(f'{folder}: no {WEIGHTS} in it{_about_pickles(pickles)}')
    _check_size(str(weights), weights.stat().st_size, MOST_BYTES)
    return Files(str(folder), weights, config if config.is_file() else None)


def in_repository(repo_id: str, options: dict[str, Any]) -> Files:
    """The files of a network in a repository of the hub, downloaded if they are not in the cache.

    Args:
        repo_id: OWNER/NAME.
        options: Arguments of `huggingface_hub.hf_hub_download`.

    Raises:
        HubError: The repository does not exist, cannot be reached, or has no readable weights.
    """
    need_library(f'{repo_id}: no such folder or file; a repository of the hub')
    from huggingface_hub.errors import HFValidationError

    try:
        weights = _download(repo_id, WEIGHTS, MOST_BYTES, options)
        config = _download(repo_id, CONFIG, MOST_BYTES_OF_CONFIG, options)
    except HubError:
        raise
    except HFValidationError:
        raise HubError(f'{repo_id}: no such folder or file, and not the name of a repository (OWNER/NAME)') from None
    except Exception as error:  # an error of the connection, from any underlying library
        raise HubError(f'{repo_id}: no such folder, and the download from the hub failed: {one_line(error)}') from None
    if weights is None:
        raise HubError(f'{repo_id}: the repository has no {WEIGHTS}{_about_pickles()}')
    return Files(repo_id, weights, config)


def _download(repo_id: str, file: str, most: int, options: dict[str, Any]) -> Path | None:
    """Download a file, unless it is too large; None if the repository has no such file."""
    from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        size = hf_hub_download(repo_id, file, dry_run=True, **options).file_size
        _check_size(f'{repo_id}: {file}', size or 0, most)
        path = Path(hf_hub_download(repo_id, file, **options))
    except LocalEntryNotFoundError:  # the hub was not contacted, or did not answer
        known = try_to_load_from_cache(repo_id, file, options['cache_dir'], options['revision'])
        if known is not _CACHED_NO_EXIST:
            raise
        return None
    except EntryNotFoundError:
        return None
    _check_size(f'{repo_id}: {file}', path.stat().st_size, most)
    return path


def _check_size(name: str, size: int, most: int) -> None:
    if size > most:
        raise HubError(f'{name}: {size} bytes; at most {most} are read')


def _about_pickles(names: Sequence[str] = ()) -> str:
    listed = ', '.join(names) or 'pickles'
    return f' ({listed} are not read from a hub; asid convert writes a checkpoint of ASID as .safetensors)'


def _load(arch: type[Net], files: Files) -> Net:
    state_dict = read_state_dict(files.weights)
    config = read_config(files.config) if files.config else {}
    try:
        inferred, weights = fitting(arch, state_dict)
        net = arch(**with_config(arch, inferred, config, weights))
        net.load_state_dict(weights)
    except (RuntimeError, ValueError) as error:
        raise HubError(f'{files.name}: {one_line(error)}') from None
    net.float().eval()
    net.origin = Origin.of(net, _metadata(files.weights))
    return net


def _metadata(weights: Path) -> dict[str, str]:
    try:
        packaged = packaged_file(weights)
    except WeightsError as error:
        raise CheckpointError(str(error)) from None
    if packaged:
        return {**metadata_in(packaged), **OF_PACKAGED}
    return metadata_in(weights) if weights.suffix.lower() == '.safetensors' else {}

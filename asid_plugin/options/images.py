"""Check the image pairs of a dataset: whether they exist, are usable, and fit each other."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from basicsr.utils import scandir

from asid_plugin.errors import ASIDError
from asid_plugin.images import Header
from asid_plugin.pairs.decoding import TRANSPARENT
from asid_plugin.pairs.files import GREY, check_files, find_grey, fits, no_image
from asid_plugin.pairs.lmdbs import beside, check_whole, find_faults, raw_lmdb
from asid_plugin.pairs.makers import BENCHMARK, UNKNOWN, maker
from asid_plugin.pairs.meta_info import LMDBError, Shape, read_lines, read_shapes

from .basicsr_keys import RAW, DatasetOptions
from .problems import Options, located

MOST = 10
"""Most images to name in messages; beyond that only the number is given."""
_RAW_UNKNOWN = 'asid prepare div2k --raw or asid prepare photos makes raw pixels'
_PIXELS = f'raw pixels; use type: {RAW}'
_BENCHMARK = f'{BENCHMARK}; to skip this set, delete this section'


class ImagesError(ASIDError):
    """GT and LQ images that cannot be used.

    Attributes:
        faults: The key of the dataset and the message of each fault.
    """

    def __init__(self, *faults: tuple[str, str]) -> None:
        super().__init__('; '.join(message for _, message in faults))
        self.faults = faults


@dataclass(frozen=True)
class Share:
    """The images that this process checks; processes divide them and exchange the results."""

    rank: int = 0
    world_size: int = 1

    def of(self, names: Sequence[str]) -> Sequence[str]:
        """The share of some names."""
        return names[self.rank :: self.world_size]


def root_of(dataset: Options, key: str) -> Path:
    """The folder or LMDB that a dataset reads for `key`, one of its data roots."""
    root = Path(dataset[key])
    return raw_lmdb(root) if dataset['type'] == RAW else root


def lacking(root: Path, dataset: Options) -> str | None:
    """The message on the missing part of a folder or LMDB; None if it is complete."""
    is_lmdb = dataset['io_backend']['type'] == 'lmdb'
    if not root.is_dir():
        return f'no folder {located(root)}; {_origin(root, dataset)}'
    if is_lmdb != (root.suffix == '.lmdb'):
        right = 'lmdb' if root.suffix == '.lmdb' else 'disk'
        return f'{root} is {"an LMDB" if right == "lmdb" else "a folder of images"}; use io_backend: type: {right}'
    parts = [part for part in ('data.mdb', 'meta_info.txt') if is_lmdb and not (root / part).is_file()]
    return f'{root} has no {parts[0]}, so it is not a complete LMDB; {_maker(root)}' if parts else None


def _origin(root: Path, dataset: Options) -> str:
    """The source of missing data."""
    if dataset['type'] == RAW:
        return maker(root) or _RAW_UNKNOWN
    return maker(root) or (UNKNOWN if dataset['phase'] == 'train' else _BENCHMARK)


def _maker(root: Path) -> str:
    """The remedy for an LMDB."""
    return maker(root) or UNKNOWN


def count_pairs(gt: Path, lq: Path, dataset: Options, share: Share, saved: bool = False) -> int:
    """Count the pairs of two folders or LMDBs, and check the share of this process.

    Args:
        gt: Folder or LMDB of the GT images.
        lq: Folder or LMDB of the LQ images.
        dataset: Its options.
        share: Share of this process.
        saved: Whether results are saved under the names of the LQ images.

    Raises:
        ImagesError: An image has no partner, is unusable, or has a wrong size.
    """
    check = _check_lmdb if dataset['io_backend']['type'] == 'lmdb' else _check_folders
    names = check(gt, lq, dataset, share)
    if saved:
        _raise_if_any(_saved_as_one(names))
    return len(names)


def count_images(dataset: Options, share: Share) -> int:
    """Count the GT images of a training set that has no others, and check those of this process's share.

    Raises:
        ImagesError: An image cannot be used.
    """
    gt = Path(dataset['dataroot_gt'])
    if dataset['io_backend']['type'] == 'lmdb':
        try:
            is_raw = read_shapes(gt)[1]
        except LMDBError as error:
            raise ImagesError(('dataroot_gt', str(error))) from error
        shapes = _read_shapes('dataroot_gt', gt, is_raw, share)
        _raise_if_any(_lmdb_faults({'dataroot_gt': (gt, shapes)}, share.of(sorted(shapes)), dataset, is_raw))
        _check_patches(shapes, dataset)
        return len(shapes)
    lines, names = _list_images(gt, DatasetOptions(dataset).meta_info_file)
    if not lines:
        _raise_if_any(_strangers({'dataroot_gt': (gt, names)}))
    for name in names:
        if not (gt / name).is_file():
            raise ImagesError(('meta_info_file', f'no {name} in {gt}{_cut_name(name, lines)}'))
    headers, faults = check_files([gt / name for name in share.of(names)])
    _raise_if_any([('dataroot_gt', f'{path}: {fault}') for path, fault in faults.items()])
    _raise_if_any(_grey('dataroot_gt', headers, dataset))
    for path, header in headers.items():
        _check_patch(path.name, (header.height, header.width), dataset)
    return len(names)


def _saved_as_one(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Images that BasicSR would save under the same name, which has neither folder nor extension."""
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(PurePosixPath(name).stem, name)
        if other != name:
            yield (
                'dataroot_lq',
                f'{other} and {name} would be saved under the same name; rename one, or set val: save_img: false',
            )


def _check_lmdb(gt: Path, lq: Path, dataset: Options, share: Share) -> list[str]:
    """Check the pairs of two LMDBs, and return their names; see `count_pairs`."""
    is_raw = dataset['type'] == RAW
    gt_shapes, lq_shapes = (
        _read_shapes(key, root, is_raw, share) for key, root in (('dataroot_gt', gt), ('dataroot_lq', lq))
    )
    for key, here, there, other in (
        ('dataroot_gt', gt_shapes, lq_shapes, lq),
        ('dataroot_lq', lq_shapes, gt_shapes, gt),
    ):
        lacking = sorted(there.keys() - here.keys())
        if lacking:
            message = (
                f'lacks {len(lacking)} of the images of {other}, such as {lacking[0]}; both must have the same images'
            )
            raise ImagesError((key, message))
    names = share.of(sorted(gt_shapes))
    lmdbs = {'dataroot_gt': (gt, gt_shapes), 'dataroot_lq': (lq, lq_shapes)}
    _raise_if_any(_lmdb_faults(lmdbs, names, dataset, is_raw))
    for name in gt_shapes:
        _check_scale(name, gt_shapes[name][:2], lq_shapes[name][:2], dataset)
    _check_patches(gt_shapes, dataset)
    return list(gt_shapes)


def _read_shapes(key: str, root: Path, raw: bool, share: Share) -> dict[str, Shape]:
    """The shapes of the images of a complete LMDB of the kind that the dataset reads."""
    try:
        shapes, is_raw = read_shapes(root)
        if raw != is_raw:
            raise ImagesError((key, f'{root} holds {_PIXELS if is_raw else _no_pixels(root)}'))
        check_whole(root, shapes, _maker(root), share.of(sorted(shapes)))
    except LMDBError as error:
        raise ImagesError((key, str(error))) from error
    return shapes


def _no_pixels(root: Path) -> str:
    """State that neither an LMDB nor the one beside it holds raw pixels, and how to make them."""
    return f'PNG files, and there is no {beside(root)}; {maker(beside(root)) or _RAW_UNKNOWN}'


def _lmdb_faults(
    lmdbs: dict[str, tuple[Path, dict[str, Shape]]], names: Sequence[str], dataset: Options, raw: bool
) -> Iterator[tuple[str, str]]:
    for key, (root, shapes) in lmdbs.items():
        try:
            faults = find_faults(root, shapes, names, raw)
        except LMDBError as error:
            raise ImagesError((key, str(error))) from error
        for name, fault in faults.items():
            yield key, f'{root}: {name}: {fault}'
        headers = {root / name: Header('PNG', *shapes[name][:2], channels=shapes[name][2]) for name in names}
        for path, header in headers.items():
            if header.channels in (2, 4):
                yield key, f'{path}: {TRANSPARENT}'
        yield from _grey(key, headers, dataset)


def _check_folders(gt: Path, lq: Path, dataset: Options, share: Share) -> list[str]:
    """Check the pairs of two folders, and return the names of the LQ images; see `count_pairs`."""
    options = DatasetOptions(dataset)
    listed, template = options.meta_info_file, options.filename_tmpl
    lines, names = _list_images(gt, listed)
    lq_names = set(scandir(lq))
    folders = {} if listed else {'dataroot_gt': (gt, names), 'dataroot_lq': (lq, sorted(lq_names))}
    _raise_if_any(_strangers(folders))
    partners: dict[str, str] = {}
    for name in names:
        partner = f'{template.format(Path(name).stem)}{Path(name).suffix}'
        if partners.setdefault(partner, name) != name:
            message = (
                f'{partners[partner]} and {name} would both be paired with {partner}, because BasicSR drops folders'
            )
            raise ImagesError(('meta_info_file', message))
    for partner, name in partners.items():
        if partner not in lq_names:
            cut = _cut_name(name, lines)
            raise ImagesError(('dataroot_lq', f'no {partner} in {lq}, the partner of {name} in {gt}{cut}'))
        if listed and not (gt / name).is_file():
            raise ImagesError(('dataroot_gt', f'no {name} in {gt}, which {listed} lists{_cut_name(name, lines)}'))
    extra = sorted(lq_names - partners.keys())
    if extra and not listed:
        raise ImagesError(('dataroot_gt', f'no partner in {gt} for {extra[0]} of {lq}'))
    _check_files({gt / partners[partner]: lq / partner for partner in share.of(list(partners))}, dataset)
    return list(partners)


def _list_images(gt: Path, listed: str | None) -> tuple[list[str], list[str]]:
    """The lines of a `meta_info_file`, if there is one, and the names of the GT images."""
    if listed and not os.path.isfile(listed):
        raise ImagesError(('meta_info_file', f'no file {located(listed)}'))
    lines = _read_lines(listed) if listed else []
    names = [line.split(' ')[0] for line in lines] if listed else sorted(scandir(gt))
    if not names:
        raise ImagesError(('meta_info_file' if listed else 'dataroot_gt', f'no images in {listed or gt}'))
    return lines, names


def _read_lines(listed: str) -> list[str]:
    """The lines of a `meta_info_file`."""
    try:
        return read_lines(Path(listed))
    except LMDBError as error:
        raise ImagesError(('meta_info_file', str(error))) from error


def _cut_name(name: str, lines: Sequence[str]) -> str:
    """A remark on a line that continues after a space in the name, if any."""
    cut = (line for line in lines if line.startswith(f'{name} ') and not line.startswith(f'{name} ('))
    return next((f'; BasicSR reads a name up to the first space of the line {line!r}' for line in cut), '')


def _strangers(folders: Mapping[str, tuple[Path, Sequence[str]]]) -> Iterator[tuple[str, str]]:
    """Files of folders that are not images by their names."""
    for key, (folder, names) in folders.items():
        for name in filter(no_image, names):
            yield key, f'{folder / name} is not an image, but BasicSR reads every file of a folder; remove it'


def _check_files(pairs: dict[Path, Path], dataset: Options) -> None:
    """Check GT files and their LQ files."""
    headers, faults = check_files([*pairs, *pairs.values()])
    gt = {path: headers[path] for path in pairs if path in headers}
    lq = {path: headers[path] for path in pairs.values() if path in headers}
    unusable = [
        ('dataroot_gt' if path in pairs else 'dataroot_lq', f'{path}: {fault}') for path, fault in faults.items()
    ]
    grey = [*_grey('dataroot_gt', gt, dataset), *_grey('dataroot_lq', lq, dataset)]
    _raise_if_any([*unusable, *(grey or _grey_beside_colour(pairs, headers))])
    for path, partner in pairs.items():
        size = gt[path].height, gt[path].width
        _check_scale(path.name, size, (lq[partner].height, lq[partner].width), dataset)
        _check_patch(path.name, size, dataset)


def _grey(key: str, headers: dict[Path, Header], dataset: Options) -> Iterator[tuple[str, str]]:
    """Grey images in a training set with colours; in test sets, such as Set14, BasicSR converts them to colour."""
    if dataset['phase'] == 'train':
        for path in find_grey(headers):
            yield key, f'{path}: {GREY}'


def _grey_beside_colour(pairs: Mapping[Path, Path], headers: Mapping[Path, Header]) -> Iterator[tuple[str, str]]:
    """Pairs of a grey and a colour image."""
    for path, partner in pairs.items():
        channels = [headers[side].channels for side in (path, partner) if side in headers]
        if 0 not in channels and len({number < 3 for number in channels}) > 1:
            kinds = ('grey', 'colour') if channels[1] < 3 else ('colour', 'grey')
            yield (
                'dataroot_lq',
                f'{partner} is {kinds[0]}, but its partner {path} is {kinds[1]}; save both as grey or both as colour',
            )


def _raise_if_any(faults: Iterable[tuple[str, str]]) -> None:
    found = list(faults)
    if len(found) > MOST:
        found[MOST:] = [(found[MOST][0], f'and more: {len(found)} images in all cannot be used')]
    if found:
        raise ImagesError(*found)


def _check_patches(shapes: Mapping[str, Shape], dataset: Options) -> None:
    """Check that a training patch fits into the smallest image."""
    smallest = min(shapes, key=lambda name: min(shapes[name][:2]))
    _check_patch(smallest, shapes[smallest][:2], dataset)


def _check_patch(name: str, size: tuple[int, int], dataset: Options) -> None:
    """Check that a training patch fits into an image."""
    if 'gt_size' in dataset and dataset['gt_size'] > min(size):
        most = min(size) // dataset['scale'] * dataset['scale']
        message = f'{dataset["gt_size"]} does not fit into {name}, {min(size)} pixels wide or high; use at most {most}'
        raise ImagesError(('gt_size', message))


def _check_scale(name: str, gt: tuple[int, int], lq: tuple[int, int], dataset: Options) -> None:
    """Check the sizes of one pair. In validation GT may have up to `scale - 1` more pixels, which BasicSR crops."""
    scale = dataset['scale']
    if not fits(gt, lq, scale, exact=dataset['phase'] == 'train'):
        here, found, right = (f'{h}x{w}' for h, w in (lq, gt, (lq[0] * scale, lq[1] * scale)))
        message = f'{name} is {here} here and {found} in dataroot_gt; scale {scale} needs {right} there'
        raise ImagesError(('dataroot_lq', message))

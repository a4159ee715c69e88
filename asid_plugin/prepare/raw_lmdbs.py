"""Make LMDBs of raw pixels directly from photographs, without other files that training does not need.

The sub-images of a photograph are written to the LMDBs of all scales, and then a line with its checksums to
`NAME_checksums.jsonl`. Until all photographs are done, these names begin with a dot. An interrupted run continues after
the last line. A finished run is verified by its lines: each has the checksum of the file of the photograph, and for
each scale the checksum of the sub-images, so that no photograph is decoded again and no copies are needed.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from zlib import crc32

import lmdb
import numpy as np
from tqdm import tqdm

from asid_plugin.files import naming, whole_file
from asid_plugin.images import ImageError
from asid_plugin.pairs.lmdbs import check_whole
from asid_plugin.pairs.meta_info import CHECKSUMS, META_INFO, LMDBError, read_checksums, read_shapes, write_checksums
from asid_plugin.printable import printable

from .sub_images import Each, Job, Photo, Pixels, PrepareError, open_alone, read_photo, read_size

COMMIT = 2**26
"""Bytes between two flushes to the disk; an interruption loses no more."""

Place = tuple[int, int, int, int]
"""Top, height, left and width in HR pixels."""


@dataclass(frozen=True)
class Record:
    """A line of the checksums: a photograph in the LMDBs.

    Attributes:
        key: Its name.
        file: Checksum of its file.
        height: Rows of its cropped HR image.
        width: Columns.
        pixels: Checksum of its sub-images by scale, 1 being HR. Keys are text, because JSON has no numbers as keys.
    """

    key: str
    file: str
    height: int
    width: int
    pixels: dict[str, str]


@dataclass(frozen=True)
class RawJob(Job):
    """A job that converts photographs to raw LMDBs, without folders of sub-images."""

    def lmdb(self, scale: int, finished: bool = True) -> Path:
        """The LMDB of a scale; 1 is HR."""
        path = self.outputs[scale][1]
        assert path is not None
        return path.with_name(f'{"" if finished else "."}{path.stem}_raw.lmdb')

    def checksums(self, finished: bool = True) -> Path:
        """The file with the checksums."""
        return self.out / f'{"" if finished else "."}{self.name}_checksums.jsonl'

    def places(self, record: Record) -> dict[str, Place]:
        """The sub-images of a photograph by name."""
        return self.tiles(record.key, record.height, record.width)


def make_raw_lmdbs(job: RawJob, photos: Mapping[str, Photo], each: Each) -> list[Record]:
    """Make raw LMDBs from photographs, continue an interrupted run, or verify existing ones.

    Args:
        job: Outputs and cutting.
        photos: The photographs by name.
        each: Maps a function over tasks.

    Raises:
        PrepareError: A photograph is unusable or has changed, or an LMDB has changed.
        OSError: The disk is full.
    """
    with naming(job.out):
        return _make(job, photos, each)


def _make(job: RawJob, photos: Mapping[str, Photo], each: Each) -> list[Record]:
    scales = list(job.outputs)
    finished = job.checksums().is_file()
    if finished:
        records = _read_records(job.checksums())
        _check_photos(job, records, photos)
        _publish(job, scales)
    else:
        for scale in scales:
            if job.lmdb(scale).exists():
                raise PrepareError(f'{job.lmdb(scale)} exists without {job.checksums()}: remove {job.out}')
        try:
            records = _write(job, photos, each)
        except lmdb.Error as error:
            raise PrepareError(f'{job.out}: {error}') from error
    for scale in scales:
        _verify(job, scale, records, finished)
    if not finished:
        with whole_file(job.checksums()) as unfinished:
            unfinished.write_text(''.join(map(_line, records)))
        _publish(job, scales)
    for scale in scales:
        number = sum(len(job.places(record)) for record in records)
        print(printable(f'{job.lmdb(scale)}: {"already done, " * finished}{number} images, verified'))
    return records


def _publish(job: RawJob, scales: Iterable[int]) -> None:
    """Give the LMDBs their final names; an interrupted run may have renamed some."""
    for scale in scales:
        if job.lmdb(scale, finished=False).is_dir():
            job.lmdb(scale, finished=False).rename(job.lmdb(scale))
        if not job.lmdb(scale).is_dir():
            raise PrepareError(f'{job.lmdb(scale)} is missing: remove {job.out} and run again')
    job.checksums(finished=False).unlink(missing_ok=True)


def _check_photos(job: RawJob, records: list[Record], photos: Mapping[str, Photo]) -> None:
    """Refuse photographs that differ from a finished set."""
    known = {record.key: record.file for record in records}
    strange = [f'{key} is missing' for key in sorted(known.keys() - photos.keys())]
    for key, photo in photos.items():
        if key not in known:
            strange.append(f'{photo[1]} is new')
        elif known[key] != _digest_file(photo[1]):
            strange.append(f'{photo[1]} has changed')
    if strange:
        more = f', and {len(strange) - 3} more' if len(strange) > 3 else ''
        raise PrepareError(f'{job.out} was made from other photographs ({", ".join(strange[:3])}{more}): remove it')


def _write(job: RawJob, photos: Mapping[str, Photo], each: Each) -> list[Record]:
    """Add the missing sub-images of photographs to the LMDBs; returns the records of all, in order."""
    wanted = {key: _digest_file(photo[1]) for key, photo in photos.items()}
    _remove_unreadable(job)
    with ExitStack() as stack:
        envs = {scale: stack.enter_context(_open(job, scale, photos)) for scale in job.outputs}
        known = _take_over(job, envs, wanted)
        done, problems = Counter[str](), []
        if known:
            done['already done'] = len(known)
        writer = _Writer(job, envs)
        tasks = [(key, photo) for key, photo in photos.items() if key not in known]
        for record, images, remarks in each(partial(_cut, job, wanted), tasks, 'Cutting', large=True):
            if record is None:
                problems += remarks
                continue
            done.update(remarks)
            known[record.key] = record
            writer.put(record, images)
        writer.commit()
    for remark, count in sorted(done.items()):
        print(f'  {count} image{"s" * (count > 1)}: {printable(remark)}')
    if problems:
        raise PrepareError(f'{len(problems)} of {len(photos)} images cannot be used:', *problems)
    records = [known[key] for key in photos]
    for scale in job.outputs:
        (job.lmdb(scale, finished=False) / META_INFO).write_text(_meta_info(job, records, scale))
    return records


def _cut(
    job: RawJob, digests: Mapping[str, str], keyed: tuple[str, Photo]
) -> tuple[Record | None, dict[int, Pixels], list[str]]:
    """Read a photograph and make its LR images (in a worker), or return the problem."""
    key, photo = keyed
    try:
        images, remarks = read_photo(job, photo)
    except (ImageError, PrepareError) as error:
        return None, {}, [str(error)]
    height, width = images[1].shape[:2]
    places = job.tiles(key, height, width)
    pixels = {str(scale): _digest(tile for _, tile in _tiles(places, images[scale], scale)) for scale in images}
    return Record(key, digests[key], height, width, pixels), images, remarks


class _Writer:
    """Writes sub-images to LMDBs, and the records of flushed ones to the file of checksums."""

    def __init__(self, job: RawJob, envs: Mapping[int, lmdb.Environment]) -> None:
        self.job = job
        self.envs = envs
        self.waiting: list[Record] = []
        self.begin()

    def begin(self) -> None:
        """Begin a transaction; `commit` ends it."""
        self.size = 0
        self.transactions = {scale: env.begin(write=True) for scale, env in self.envs.items()}

    def put(self, record: Record, images: Mapping[int, Pixels]) -> None:
        """Add a photograph."""
        for scale, image in images.items():
            for name, tile in _tiles(self.job.places(record), image, scale):
                self.transactions[scale].put(name.encode(), tile)
                self.size += len(tile)
        self.waiting.append(record)
        if self.size >= COMMIT:
            self.commit()
            self.begin()

    def commit(self) -> None:
        """Flush all data to the disk."""
        for transaction in self.transactions.values():
            transaction.commit()
        with self.job.checksums(finished=False).open('a') as file:
            file.writelines(map(_line, self.waiting))
        self.waiting.clear()


def _remove_unreadable(job: RawJob) -> None:
    """Start again if an unfinished LMDB is invalid, for example after a full disk."""
    paths = [job.lmdb(scale, finished=False) for scale in job.outputs]
    try:
        for path in filter(Path.exists, paths):
            lmdb.open(str(path), readonly=True, lock=False).close()
    except lmdb.Error:
        job.checksums(finished=False).unlink(missing_ok=True)
        for path in paths:
            shutil.rmtree(path, ignore_errors=True)


def _open(job: RawJob, scale: int, photos: Mapping[str, Photo]) -> lmdb.Environment:
    """Open an unfinished LMDB for writing, large enough for all sub-images."""
    path = job.lmdb(scale, finished=False)
    size = 2**26  # a value fills whole pages of up to 64 KiB; the file grows only as far as it is used
    for key, photo in photos.items():
        try:
            places = job.tiles(key, *read_size(photo[1]))
        except ImageError:
            continue  # reading the whole file reports the reason
        size += sum(height * width // scale**2 * 3 + 2 * 65536 for _, height, _, width in places.values())
    there = path / 'data.mdb'
    return open_alone(str(path), map_size=size + (there.stat().st_size if there.exists() else 0))


def _take_over(job: RawJob, envs: Mapping[int, lmdb.Environment], wanted: Mapping[str, str]) -> dict[str, Record]:
    """The records of an interrupted run by name; photographs that are not wanted or have changed are removed."""
    path = job.checksums(finished=False)
    records = _read_records(path) if path.is_file() else []
    kept = {record.key: record for record in records if wanted.get(record.key) == record.file}
    names = {name for record in kept.values() for name in job.places(record)}
    for env in envs.values():
        with env.begin(write=True) as transaction:
            for key in [bytes(key) for key in transaction.cursor().iternext(values=False)]:
                if key.decode() not in names:
                    transaction.delete(key)
    job.out.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        unfinished.write_text(''.join(map(_line, kept.values())))
    return kept


def _verify(job: RawJob, scale: int, records: list[Record], finished: bool) -> None:
    """Compare an LMDB with the checksums of the photographs, and add checksums of its images if it has none."""
    path = job.lmdb(scale, finished)
    again = f'{path} has changed: remove {job.out} and run again'
    try:
        shapes, _ = read_shapes(path)
        check_whole(path, shapes, f'remove {job.out} and run')
        known = read_checksums(path, shapes)
    except LMDBError as error:
        raise PrepareError(str(error)) from error
    if (path / META_INFO).read_text() != _meta_info(job, records, scale):
        raise PrepareError(f'{again} ({META_INFO})')
    found: dict[str, int] = {}
    with lmdb.open(str(path), readonly=True, lock=False) as env, env.begin(buffers=True) as transaction:
        for record in tqdm(records, desc=f'Verifying {path.name.lstrip(".")}'):
            tiles = {name: transaction.get(name.encode(), b'') for name in job.places(record)}
            if _digest(tiles.values()) != record.pixels[str(scale)]:
                raise PrepareError(f'{again} ({record.key})')
            found |= {name: crc32(tile) for name, tile in tiles.items()}
    if not known:
        write_checksums(path, found)
    elif known != found:
        raise PrepareError(f'{again} ({CHECKSUMS})')


def _meta_info(job: RawJob, records: Iterable[Record], scale: int) -> str:
    sizes = ((name, place) for record in records for name, place in job.places(record).items())
    return ''.join(f'{name}.png ({h // scale},{w // scale},3) raw\n' for name, (_, h, _, w) in sizes)


def _tiles(places: Mapping[str, Place], image: Pixels, scale: int) -> Iterator[tuple[str, bytes]]:
    """The sub-images of an image, by name."""
    for name, place in places.items():
        top, height, left, width = (length // scale for length in place)
        yield name, np.ascontiguousarray(image[top : top + height, left : left + width]).tobytes()


def _digest(values: Iterable[bytes | memoryview]) -> str:
    digest = blake2b(digest_size=16)
    for value in values:
        digest.update(value)
    return digest.hexdigest()


def _digest_file(path: Path) -> str:
    with path.open('rb') as file:
        return _digest(iter(partial(file.read, 2**20), b''))


def _line(record: Record) -> str:
    return json.dumps(asdict(record)) + '\n'


def _read_records(path: Path) -> list[Record]:
    """The complete lines of a file of checksums; an interruption may leave an incomplete line at its end."""
    lines = path.read_text().splitlines(keepends=True)
    return [Record(**json.loads(line)) for line in lines if line.endswith('\n')]

"""Prepare RealSR (Cai et al. 2019) for training in BasicSR and for `asid evaluate`.

    asid prepare realsr --realsr 'datasets/RealSR(V3)'

It expects the folders as released: `Canon/Train/3/Canon_001_HR.png` with `Canon_001_LR3.png` beside it, the same for
Nikon, Test, and the other scales. Outputs for `-o datasets/RealSR --scales 3`::

    datasets/RealSR/train_x3_HR_sub/Canon_001_s001.png    datasets/RealSR/train_x3_HR_sub.lmdb
    datasets/RealSR/train_x3_LR_sub/Canon_001_s001.png    datasets/RealSR/train_x3_LR_sub.lmdb
    datasets/RealSR/GTmod3/Canon_001.png                  datasets/RealSR/LRbicx3/Canon_001.png    (Test, whole)
    datasets/RealSR/train_x3_prepare.json, test_x3_prepare.json    (the settings; a run with others is refused)

ASID enlarges by k, so its LR input must have 1/k of the HR size. In version 3, which the paper names, LR has that size
and is used unchanged. In versions 1 and 2, and in copies with equal sizes, LR has the HR size; it is then downscaled by
k with BasicSR's MATLAB-like `imresize` and rounded to 8 bits, so that the network can still be fine-tuned from its
weights for bicubic LR. The first pair of a split determines the version, and the others must agree. The paper does not
state how it handles sizes, so its figures may differ from figures on downscaled LR.

If k does not divide the sides of HR, both images are cropped at the bottom and right. `LRbicx3` is only the usual name
beside `GTmod3`; it holds RealSR's LR. Sub-images are cut as in `asid prepare div2k`, and the same command continues an
interrupted run and verifies a finished one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asid_plugin.prepare.sub_images import (
    Job,
    Photo,
    PrepareError,
    alone_in,
    check_cutting,
    check_settings,
    list_images,
    parallel,
    print_left_out,
    read_size,
    write_outputs,
)

CAMERAS = ('Canon', 'Nikon')


@dataclass(frozen=True)
class TrainPairs(Job):
    """The training pairs of one scale, for sub-images and LMDBs.

    Attributes:
        cameras: Cameras of the pairs.
        equal_size: Whether LR files have the HR size and are downscaled.
    """

    cameras: tuple[str, ...]
    equal_size: bool

    @property
    def settings(self) -> dict[str, object]:
        """Settings that determine the outputs, including the cameras and the size of LR."""
        lr = {f'X{scale}': 'files of equal size, imresize' if self.equal_size else 'files' for scale in self.lr}
        return {'crop_size': self.crop_size, 'step': self.step, 'cameras': self.cameras, **lr}

    @property
    def outputs(self) -> dict[int, tuple[Path, Path | None]]:
        """The folder of sub-images and the LMDB of HR, at 1, and of LR."""
        begin = self.out / self.name
        names = {1: f'{begin}_HR_sub'} | dict.fromkeys(self.lr, f'{begin}_LR_sub')
        return {scale: (Path(name), Path(f'{name}.lmdb')) for scale, name in names.items()}

    def lr_sizes(self, scale: int, height: int, width: int) -> list[tuple[int, int]]:
        """The HR size, or 1/k of it, rounded in any way."""
        if self.equal_size:
            return [(height, width)]
        # if k does not divide a side, MATLAB rounds 1/k of it up, and other programs down
        rows, columns = ({side // scale, -(-side // scale)} for side in (height, width))
        return sorted((row, column) for row in rows for column in columns)


class TestPairs(TrainPairs):
    """The test pairs of one scale, which are not cut."""

    @property
    def files(self) -> str:
        """The names of the outputs, for messages."""
        folders = ' and '.join(str(folder) for folder, _ in self.outputs.values())
        return f'{folders} (and {self.name}_prepare.json)'

    @property
    def outputs(self) -> dict[int, tuple[Path, Path | None]]:
        """The folders of HR, at 1, and of LR; no LMDBs."""
        [scale] = self.lr
        return {1: (self.out / f'GTmod{scale}', None), scale: (self.out / f'LRbicx{scale}', None)}

    def tiles(self, key: str, height: int, width: int) -> dict[str, tuple[int, int, int, int]]:
        """The whole image."""
        return {key: (0, height, 0, width)}


def find_pairs(realsr: Path, split: str, scale: int, cameras: Sequence[str]) -> dict[str, Photo]:
    """Pair the HR and LR images of some cameras.

    Args:
        realsr: Folder of RealSR.
        split: 'Train' or 'Test'.
        scale: k.
        cameras: Names of folders in `realsr`.

    Returns:
        HR (at 1) and LR (at `scale`) by the name of the scene, such as 'Canon_001'.

    Raises:
        PrepareError: A folder is missing or empty, or an image has no partner.
    """
    pairs: dict[str, Photo] = {}
    problems = []
    for camera in cameras:
        folder = realsr / camera / split / str(scale)
        if not folder.is_dir():
            here = ', '.join(sorted(path.name for path in realsr.iterdir())) if realsr.is_dir() else 'nothing'
            hint = f'--realsr should name the folder of Canon and Nikon (found in {realsr}: {here})'
            raise PrepareError(f'{folder}: no such folder; {hint}; --cameras and --scales select folders')
        print_left_out(folder)
        for key, path in list_images(folder).items():
            scene, _, role = key.rpartition('_')
            if role not in ('HR', f'LR{scale}') or not scene.startswith(f'{camera}_'):
                problems.append(f'{path}: names should be like {camera}_001_HR and {camera}_001_LR{scale}')
            else:
                pairs.setdefault(scene, {})[1 if role == 'HR' else scale] = path
        if not any(scene.startswith(f'{camera}_') for scene in pairs):
            problems.append(f'{folder}: no images named {camera}_001_HR and {camera}_001_LR{scale}')
    for scene, pair in pairs.items():
        if len(pair) == 1:
            [path] = pair.values()
            problems.append(f'{path}: its partner {scene}_{f"LR{scale}" if 1 in pair else "HR"} is missing')
    if problems:
        raise PrepareError(f'{realsr}: not RealSR as released', *problems)
    return pairs


def have_equal_size(pair: Photo) -> bool:
    """Whether the two files of a pair have the same size."""
    return len({read_size(path) for path in pair.values()}) == 1


def prepare_realsr(
    realsr: str | Path,
    out: str | Path,
    scales: Sequence[int] = (3, 4),
    cameras: Sequence[str] = CAMERAS,
    crop_size: int = 480,
    step: int = 240,
    raw: bool = False,
    workers: int = 1,
) -> None:
    """Run the command with these options; with fewer than 2 workers, all in this process.

    Raises:
        PrepareError: An argument, an image or an existing output is unsuitable.
        OSError: A file cannot be read or written.
        LockedError: Another preparation writes to `out`.
    """
    check_cutting(scales, crop_size, step)
    scales, cameras = sorted(set(scales)), sorted(set(cameras))
    root, plans = Path(realsr), []
    for scale in scales:
        for split, kind, cutting in (('Train', TrainPairs, (crop_size, step)), ('Test', TestPairs, (0, 0))):
            pairs = find_pairs(root, split, scale, cameras)
            equal_size = have_equal_size(next(iter(pairs.values())))
            name = f'{split.lower()}_x{scale}'
            plans.append((kind(Path(out), name, {scale: root}, *cutting, tuple(cameras), equal_size), pairs))
    with alone_in(Path(out)), parallel(workers) as each:
        for job, _ in plans:
            check_settings(job)
        for job, pairs in plans:
            size = 'the HR size, downscaled by imresize' if job.equal_size else '1/k of the HR size, used unchanged'
            print(f'{job.name}: {len(pairs)} from {", ".join(cameras)}; LR has {size}')
            write_outputs(job, pairs, each, raw)

"""Hold results against bicubic upscaling: a table, and if asked a picture of one detail.

    python scripts/compare.py --gt datasets/demo/val/GTmod2 --lq datasets/demo/val/LRbicx2 --sr results/…/demo --scale 2

SR images are found by name, as BasicSR saves them: the GT image's, an underscore, and whatever is shortest. PSNR and
SSIM are BasicSR's, on Y, with as many pixels cropped on each side as the scale.
"""

import argparse
import glob
from pathlib import Path

import cv2
import numpy as np

import asid_plugin  # noqa: F401  # its import hook lets BasicSR be imported

# isort: split
from basicsr.metrics import calculate_psnr, calculate_ssim
from basicsr.utils.matlab_functions import imresize

Figures = tuple[float, float]


def bicubic(lq: np.ndarray, scale: int) -> np.ndarray:
    """MATLAB's bicubic upscaling of (H, W, 3) uint8, by BasicSR's `imresize`."""
    return (imresize(lq / 255.0, scale) * 255).clip(0, 255).round().astype(np.uint8)


def measure(image: np.ndarray, gt: np.ndarray, scale: int) -> Figures:
    """PSNR in dB and SSIM on the Y channel."""
    opt = {'crop_border': scale, 'test_y_channel': True}
    return calculate_psnr(image, gt, **opt), calculate_ssim(image, gt, **opt)


def table(rows: dict[str, dict[str, Figures]]) -> str:
    """Format {image: {method: (PSNR, SSIM)}} with a row of means."""
    methods = list(next(iter(rows.values())))
    rows = rows | {'mean': {m: tuple(np.mean([row[m] for row in rows.values()], axis=0)) for m in methods}}
    width = max(len(name) for name in rows)
    lines = [' ' * width + ''.join(f'  {method:>14}' for method in methods)]
    for name, row in rows.items():
        lines.append(f'{name:{width}}' + ''.join(f'  {row[m][0]:6.2f} /{row[m][1]:7.4f}' for m in methods))
    return '\n'.join(lines)


def picture(images: dict[str, np.ndarray], box: tuple[int, int, int, int], zoom: int) -> np.ndarray:
    """Set one detail (x, y, width, height) of several images side by side, enlarged without smoothing, with names."""
    x, y, width, height = box
    panels = []
    for label, image in images.items():
        detail = cv2.resize(
            image[y : y + height, x : x + width], None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST
        )
        caption = np.full((36, detail.shape[1], 3), 255, np.uint8)
        cv2.putText(caption, label, (6, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
        panels.append(np.vstack([detail, caption]))
    gap = np.full((panels[0].shape[0], 8, 3), 255, np.uint8)
    return np.hstack([part for panel in panels for part in (panel, gap)][:-1])


def main() -> None:
    """Print the table and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--gt', type=Path, required=True, help='folder of HR images')
    parser.add_argument('--lq', type=Path, required=True, help='folder of LR images of the same names')
    parser.add_argument('--sr', type=Path, required=True, help='folder of results')
    parser.add_argument('--scale', type=int, required=True)
    parser.add_argument('--name', default='ASID', help='what the results are called')
    parser.add_argument('--picture', type=Path, help='write a detail of the first image, side by side')
    parser.add_argument(
        '--box', type=int, nargs=4, metavar=('X', 'Y', 'W', 'H'), default=(0, 0, 100, 100), help='the detail'
    )
    parser.add_argument('--zoom', type=int, default=3)
    args = parser.parse_args()

    rows = {}
    for path in sorted(args.gt.iterdir()):
        found = sorted(args.sr.glob(f'{glob.escape(path.stem)}_*'), key=lambda result: len(result.name))
        if not found:
            parser.error(f'{args.sr}: no result for {path.name}; results are named {path.stem}_*.png')
        gt, sr = cv2.imread(str(path)), cv2.imread(str(found[0]))
        base = bicubic(cv2.imread(str(args.lq / path.name)), args.scale)
        rows[path.stem] = {'bicubic': measure(base, gt, args.scale), args.name: measure(sr, gt, args.scale)}
        if args.picture and len(rows) == 1:
            cv2.imwrite(
                str(args.picture), picture({'bicubic': base, args.name: sr, 'original': gt}, args.box, args.zoom)
            )
    print(table(rows))


if __name__ == '__main__':
    main()

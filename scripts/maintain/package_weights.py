"""Put trained weights into the package, in float16, with all that is to be known of them in the file.

    python scripts/maintain/package_weights.py options/photos/train_ASID_photos_x2.yml \
        --data '153 freely licensed photographs' --benchmarks datasets/Set5 datasets/Set14

The weights are those that the training ended with, experiments/NAME/models/net_g_latest.pth, measured by tiles and on
whole images in float32 and as they are stored. If any mean differs by 0.01 dB or more, nothing is written.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save
from torch import Tensor

from asid_plugin.checkpoints import CheckpointError, read_state_dict
from asid_plugin.checkpoints.packaged import CHECKSUMS, CLEAN, FOLDER, REAL, packaged_file_name
from asid_plugin.evaluate.benchmarks import find_sets
from asid_plugin.evaluate.methods import Running, load_candidates
from asid_plugin.evaluate.results import EvaluationError
from asid_plugin.evaluate.run import evaluate
from asid_plugin.files import staging, whole_file
from asid_plugin.inference.memory import keep_freed_memory
from asid_plugin.layouts.state_dict import infer_arguments
from asid_plugin.tf32 import allow_tf32

LARGEST_LOSS = 0.01
"""In dB, of any mean, by storing float16."""
HOWS = ('tiles', 'whole')

Results = dict[str, dict[str, tuple[float, float]]]
"""By set, then by 'tiles' or 'whole': PSNR in dB and SSIM."""


def to_half(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in float16; other numbers are not changed."""
    return {
        key: (value.half() if value.is_floating_point() else value).contiguous() for key, value in state_dict.items()
    }


def measure(files: Mapping[str, Path], upscale: int, benchmarks: Sequence[Path]) -> dict[str, Results]:
    """Results of checkpoint files, by the name that each is given.

    Raises:
        EvaluationError: A file or a set cannot be used.
    """
    running = Running(upscale, HOWS)
    sets = find_sets(benchmarks, upscale, None, lambda reason: print(f'left out: {reason}', file=sys.stderr))
    found = evaluate(sets, load_candidates([f'{name}={path}' for name, path in files.items()], running), upscale)
    results: dict[str, Results] = {name: {} for name in files}
    for name in files:
        for benchmark in found.sets:
            means = {how: benchmark.mean(f'{name}, {how}') for how in HOWS}
            results[name][benchmark.name] = {how: (round(m.psnr, 4), round(m.ssim, 4)) for how, m in means.items()}
    return results


def check_storage(full: Results, stored: Results) -> None:
    """Print both, and see that float16 is good enough.

    Raises:
        EvaluationError: It is not.
    """
    for name, by_how in full.items():
        for how, (psnr, ssim) in by_how.items():
            half = stored[name][how]
            print(f'{name}, {how}: {psnr:.4f} / {ssim:.4f}, in float16 {half[0]:.4f} / {half[1]:.4f}')
            if not abs(psnr - half[0]) < LARGEST_LOSS:
                raise EvaluationError(f'{name}, {how}: float16 moves PSNR by {half[0] - psnr:+.4f} dB; nothing written')


def write(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write a file and its line in `SHA256SUMS`."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    content = save(dict(weights), texts)
    with whole_file(path) as unfinished:
        unfinished.write_bytes(content)
    sums = path.with_name(CHECKSUMS)
    lines = sums.read_text(encoding='ascii').splitlines() if sums.exists() else []
    lines = [line for line in lines if not line.endswith(f'  {path.name}')]
    lines.append(f'{hashlib.sha256(content).hexdigest()}  {path.name}')
    with whole_file(sums) as unfinished:
        unfinished.write_text('\n'.join(sorted(lines, key=lambda line: line[66:])) + '\n', encoding='ascii')


def package(args: argparse.Namespace) -> Path:
    """Carry out the command line, and return the file.

    Raises:
        CheckpointError: The weights cannot be read.
        EvaluationError: They cannot be measured, or not be stored in float16.
    """
    opt = yaml.safe_load(args.options.read_text(encoding='utf-8'))
    iterations = args.iterations or opt['train']['total_iter']
    checkpoint = Path('experiments', opt['name'], 'models', f'net_g_{args.iterations or "latest"}.pth')
    state_dict = read_state_dict(checkpoint, args.param_key)
    weights = to_half(state_dict)
    network_g = {'type': 'ASID', **infer_arguments(weights)}
    with staging(Path('results')) as folder:
        files = {name: folder / f'{name}.safetensors' for name in ('float32', 'float16')}
        for path, tensors in zip(files.values(), (state_dict, weights), strict=True):
            path.write_bytes(save(dict(tensors)))
        results = measure(files, network_g['upscale'], args.benchmarks)
        for path in files.values():
            path.unlink()
    check_storage(results['float32'], results['float16'])
    metadata = {
        'format': 'pt',
        'network_g': network_g,
        'data': args.data,
        'iterations': iterations,
        'param_key': args.param_key,
        'options': args.options.name,
        'options_sha256': hashlib.sha256(args.options.read_bytes()).hexdigest(),
        'results': results['float16'],
    }
    path = FOLDER / packaged_file_name(network_g['upscale'], args.kind)
    write(path, weights, metadata)
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 2 if nothing was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('options', type=Path, metavar='OPTIONS', help='option file that trained the weights')
    parser.add_argument('--data', required=True, help='the training data, in words')
    parser.add_argument('--benchmarks', nargs='+', type=Path, required=True, metavar='SET')
    parser.add_argument(
        '--kind', choices=[REAL], default=CLEAN, help='real: for photographs as they are; without it, for clean images'
    )
    parser.add_argument('--iterations', type=int, help='an earlier checkpoint')
    parser.add_argument(
        '--param-key',
        choices=['params_ema', 'params'],
        default='params_ema',
        help="the average (default) or the last weights; a short training's average is near the initial weights",
    )
    keep_freed_memory()
    allow_tf32(False)
    try:
        path = package(parser.parse_args(argv))
    except (CheckpointError, EvaluationError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except OSError as error:
        print(f'error: {error.filename or FOLDER}: {error.strerror}', file=sys.stderr)
        return 2
    print(f'wrote {path} ({path.stat().st_size / 1e6:.2f} MB)')
    return 0


if __name__ == '__main__':
    sys.exit(main())

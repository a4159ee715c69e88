#!/usr/bin/env bash
# ASID in mmagic 1.2: trained and tested by mmagic's own tools, in an environment where mmagic can be imported.
#
#   bash scripts/maintain/test_mmagic.sh                 # the environment is made in .venv-mmagic, by $PYTHON or else python3
#   bash scripts/maintain/test_mmagic.sh my/environment
#
# The first run compiles mmcv (a quarter of an hour on two cores); the next skips what is installed. Data, checkpoints
# and results are written below this folder: datasets/demo, experiments/mmagic, results/mmagic.
set -euo pipefail
environment=$(realpath -m "${1:-$(dirname "$0")/../../.venv-mmagic}")
cd "$(dirname "$0")/../.."

config=options/mmagic/asid_x2c48b3_1xb16_div2k.py
work=experiments/mmagic
iterations=100
few_photographs=(
    train_dataloader.dataset.data_root=datasets/demo
    train_dataloader.dataset.data_prefix.img=train_LR_bicubic/X2_sub
    train_dataloader.dataset.data_prefix.gt=train_HR_sub
    val_dataloader.dataset.data_root=datasets/demo/val
    test_dataloader.dataset.data_root=datasets/demo/val
)
short_training=(
    train_dataloader.batch_size=8 train_dataloader.num_workers=1
    train_dataloader.dataset.pipeline.3.gt_patch_size=64 # of PairedRandomCrop
    optim_wrapper.optimizer.lr=2e-3
    train_cfg.max_iters=$iterations train_cfg.val_interval=50
    default_hooks.checkpoint.interval=50 default_hooks.logger.interval=10
)

step() { printf '\n==> %s\n' "$*"; }

# What mmagic 1.2, of December 2023, and mmcv 2.1 need older than it is today; pip heeds it in all that follows.
constraints() {
    cat <<'CONSTRAINTS'
diffusers==0.24.0
huggingface_hub<0.26
mediapipe<0.10.30
numpy<2
opencv-contrib-python<5
opencv-python-headless<5
opencv-python<5
pandas<2.3
protobuf<5
setuptools<82
transformers<4.40
CONSTRAINTS
}

is_installed() { # Can mmagic be imported, with mmcv's operators, and ASID from this folder?
    python -I - "$(pwd -P)/asid_plugin/" <<'PYTHON' 2>/dev/null
import sys

import asid_plugin.archs
import albumentations
import mmagic.models
import mmcv.ops

sys.exit(not asid_plugin.__file__.startswith(sys.argv[1]))
PYTHON
}

compile_mmcv() { # mmcv with its operators, which mmcv-lite lacks and mmagic imports, into a wheel that is kept
    if ! command -v c++ >/dev/null; then
        echo "a C++ compiler is needed for mmcv: on Debian and Ubuntu, apt-get install g++" >&2
        return 1
    fi
    python -m pip install --quiet ninja psutil
    # the flags leave out debug symbols, which take half the time
    CFLAGS='-O2 -DNDEBUG' MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(nproc)} python -m pip wheel --no-cache-dir \
        --no-build-isolation --use-pep517 --no-deps --wheel-dir "$environment/wheels" mmcv==2.1.0
}

mmagic_tool() { # train or test, after the correction for a torchvision that was built for another torch
    python - "$tools/$1.py" "${@:2}" <<'PYTHON'
import runpy
import sys

from asid_plugin.compat.torchvision import torchvision_ops

torchvision_ops()  # before anything imports torchvision

from asid_plugin.inference import keep_freed_memory

keep_freed_memory()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name='__main__')
PYTHON
}

step "mmagic 1.2, mmcv 2.1 and this package in $environment"
[ -x "$environment/bin/python" ] || "${PYTHON:-python3}" -m venv "$environment"
. "$environment/bin/activate"
constraints >"$environment/constraints.txt"
export PIP_CONSTRAINT=$environment/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1
if ! is_installed; then
    EXTRAS='[evaluate]' . scripts/setup.sh # the tests' Gradio needs a newer huggingface_hub
    ls "$environment"/wheels/mmcv-2.1.0-*.whl >/dev/null 2>&1 || compile_mmcv
    python -m pip install --quiet "$environment"/wheels/mmcv-2.1.0-*.whl
    python -m pip install --quiet mmagic==1.2.0 albumentations # which it imports without asking for it
fi
python -m pip list 2>/dev/null | grep -E '^(mmagic|mmcv|mmengine|numpy|opencv-python|torch) '
tools=$(python -c 'import mmagic; print(*mmagic.__path__)')/.mim/tools

step 'Data: the photographs of scikit-image, some held out'
python -m asid_plugin prepare demo -o datasets/demo

step "mmagic trains by $config, $iterations iterations on these photographs"
mmagic_tool train "$config" --work-dir "$work" --cfg-options "${few_photographs[@]}" "${short_training[@]}"

step 'mmagic tests the checkpoint on the held-out photographs'
checkpoint=$work/iter_$iterations.pth
mmagic_tool test "$config" "$checkpoint" --work-dir "$work" --out "$work/metrics.json" \
    --cfg-options "${few_photographs[@]}"

step 'The same checkpoint, measured by this package'
python -m asid_plugin evaluate datasets/demo/val --scale 2 --how whole --network "mmagic=$checkpoint" -o results/mmagic
python - "$work/metrics.json" results/mmagic/evaluation.csv <<'PYTHON'
import csv
import json
import sys

with open(sys.argv[1]) as file:
    theirs = json.load(file)
with open(sys.argv[2]) as file:
    (ours,) = [row for row in csv.DictReader(file) if row['method'] == 'mmagic' and not row['image']]
for name, tolerance in (('PSNR', 0.05), ('SSIM', 0.002)):  # mmagic measures before rounding to 8 bits
    difference = abs(theirs[name] - float(ours[name.lower()]))
    print(f'{name}: {theirs[name]:.4f} by mmagic, {float(ours[name.lower()]):.4f} by this package')
    if not difference < tolerance:
        sys.exit(f'{name}: they differ by more than {tolerance}')
PYTHON

printf '\nASID trains and is tested in mmagic, and its checkpoint is used without it: %s\n' "$checkpoint"

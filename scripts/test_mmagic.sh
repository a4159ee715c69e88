#!/usr/bin/env bash
# ASID in mmagic 1.2: trains and tests it by mmagic's own tools, in an environment where mmagic can be imported.
#
#   bash scripts/test_mmagic.sh                 # the environment is made in .venv-mmagic, by $PYTHON or else python3
#   bash scripts/test_mmagic.sh my/environment
#
# The first run compiles mmcv, which takes about ten minutes of two cores; steps that are finished are skipped by the next.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=${1:-.venv-mmagic}
config=options/mmagic/asid_x2c48b3_1xb16_div2k.py
work=experiments/mmagic
iterations=100

step() { printf '\n==> %s\n' "$*"; }

is_installed() { python -c "import asid_plugin.archs, mmcv.ops, mmagic; assert mmagic.__version__ == '1.2.0'" 2>/dev/null; }

# What mmagic 1.2, of December 2023, needs older than it is today. pip heeds this wherever it is called below.
write_constraints() {
    cat >"$1" <<'CONSTRAINTS'
diffusers==0.24.0
huggingface_hub<0.26
numpy<2
opencv-contrib-python<5
opencv-python-headless<5
opencv-python<5
pandas<2.3
setuptools<82
transformers<4.40
CONSTRAINTS
}

step "An environment with this package: $environment"
if ! [ -x "$environment/bin/python" ]; then
    "${PYTHON:-python3}" -m venv "$environment"
fi
. "$environment/bin/activate"
write_constraints "$environment/constraints.txt"
PIP_CONSTRAINT=$(realpath "$environment/constraints.txt")
export PIP_CONSTRAINT PIP_DISABLE_PIP_VERSION_CHECK=1
if is_installed; then
    echo 'all is installed'
else
    . scripts/setup.sh
    step 'mmcv 2.1.0 with its operators, compiled, in the place of mmcv-lite'
    python -m pip uninstall --quiet --yes mmcv-lite
    python -m pip install --quiet psutil ninja
    # not from pip's cache, where it may lie without operators or for another torch; without debug symbols, for speed
    CFLAGS=-g0 MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-2} \
        python -m pip install --no-cache-dir --no-build-isolation --use-pep517 --no-deps mmcv==2.1.0
    step 'mmagic 1.2.0'
    python -m pip install --quiet mmagic==1.2.0
    is_installed
fi

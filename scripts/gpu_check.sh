#!/usr/bin/env bash
# Checks ASID on a machine with a GPU, in twenty minutes on one card, and writes one report, Markdown and JSON:
#
#   bash scripts/gpu_check.sh --out gpu_report
#   bash scripts/gpu_check.sh --help            # the parts, what each needs, --only and --minutes
#
# It installs nothing. It uses $PYTHON, or else python3, with torch, numpy and tqdm.
# Parts with missing packages are skipped, and the report says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." && root=$PWD && cd "$OLDPWD"
python=${PYTHON:-$(command -v python3 || command -v python)}
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
exec "$python" "$root/scripts/maintain/gpu_check.py" "$@"

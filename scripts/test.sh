#!/usr/bin/env bash
# Sets everything up and runs the tests in several processes; arguments are for pytest: bash scripts/test.sh -k compat
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
# More threads than cores make some tests ten times as slow, because waiting threads spin.
cores=$(python -c 'import os; print(os.cpu_count() or 1)')
processes=$((cores < 4 ? cores : 4))
export OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores / processes))}
exec python -m pytest --numprocesses "$processes" --dist loadfile "$@"

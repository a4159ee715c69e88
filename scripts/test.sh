#!/usr/bin/env bash
# Sets everything up and runs the tests, each file in one of several processes; arguments go to pytest: bash scripts/test.sh -k compat
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
# Threads that wait spin by default, and take the core from the other processes.
export OMP_WAIT_POLICY=PASSIVE
exec python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile "$@"

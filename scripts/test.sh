#!/usr/bin/env bash
# Sets everything up and runs the tests; arguments go to pytest: bash scripts/test.sh -k compat
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
exec python -m pytest "$@"

# Sets up everything this repository needs and stays in the environment: . scripts/setup.sh
#
# The environment is the active one (a virtual environment or conda), or else .venv here, which is made if need be with
# the Python named by $PYTHON, or the first of python3, python3.12, python3.11 and python3.10 that will do.
# Running it again when all is there takes a moment. It sets no shell options, so it can be sourced from anywhere.
# EXTRAS='' leaves out what only the tests need.

TORCH=2.13.0 # tested; another version that is already installed is kept
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd) # $0 in zsh

say() { printf 'setup: %s\n' "$*" >&2; }

fits() { # Is this a Python that BasicSR 1.4.2 and torch can be installed for?
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null
}

has_pip() { # uv makes environments without
    "$1" -m pip --version >/dev/null 2>&1 || "$1" -m ensurepip --upgrade >/dev/null && return
    say "$1 has no pip, and Python's ensurepip cannot install it"
    return 1
}

enter_environment() {
    if [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]; then
        if fits python; then
            has_pip python
            return
        fi
        say "the active environment has $(python --version 2>&1); Python 3.10, 3.11 or 3.12 is needed"
        return 1
    fi
    if "$ROOT/.venv/bin/python" -c '' 2>/dev/null; then
        if ! fits "$ROOT/.venv/bin/python"; then
            say "$ROOT/.venv has $("$ROOT/.venv/bin/python" --version); Python 3.10, 3.11 or 3.12 is needed: remove it"
            return 1
        fi
        has_pip "$ROOT/.venv/bin/python" || return
    else
        local candidate python='' candidates=(python3 python3.12 python3.11 python3.10)
        [ -n "${PYTHON:-}" ] && candidates=("$PYTHON")
        for candidate in "${candidates[@]}"; do
            if fits "$candidate"; then
                python=$candidate
                break
            fi
        done
        if [ -z "$python" ]; then
            say "Python 3.10, 3.11 or 3.12 is needed (BasicSR 1.4.2 cannot be built with 3.13);" \
                "${candidates[0]} is $("${candidates[0]}" --version 2>&1). Name another by PYTHON=..."
            return 1
        fi
        say "making .venv with $("$python" --version)"
        "$python" -m venv --clear "$ROOT/.venv" || return # where one is, its Python is gone
    fi
    . "$ROOT/.venv/bin/activate"
}

is_set_up() { # Is this checkout installed, since its setup.py last changed, with all that it asks for?
    python -I - "$ROOT" <<'PYTHON'
import importlib.metadata as metadata
import json
import re
import sys
from pathlib import Path

root = Path(sys.argv[1]).resolve()
try:
    installed = metadata.distribution('asid-plugin')
    for requirement in installed.requires:
        metadata.distribution(re.match(r'[\w.-]+', requirement)[0])
except metadata.PackageNotFoundError:
    sys.exit(1)
source = json.loads(installed.read_text('direct_url.json') or '{}')
is_ours = source.get('url') == root.as_uri() and source.get('dir_info', {}).get('editable')
hook = Path(installed.locate_file('asid_plugin.pth'))
sys.exit(not (is_ours and hook.exists() and hook.stat().st_mtime > (root / 'setup.py').stat().st_mtime))
PYTHON
}

pip_install() { python -m pip install --quiet --disable-pip-version-check "$@"; }

install_torch() {
    local present
    present=$(python - 2>/dev/null <<'PYTHON'
import torch

version = torch.__version__.split('+')[0]
print(version if tuple(map(int, version.split('.')[:2])) >= (2, 6) else '')
PYTHON
)
    if [ -n "$present" ]; then
        pip_install "torch==$present" torchvision # so that torchvision fits, whichever torch it is
        return
    fi
    set -- "torch==$TORCH" torchvision
    if nvidia-smi >/dev/null 2>&1 || [ "$(uname -s)" != Linux ]; then
        say "installing torch $TORCH"
        pip_install "$@"
    elif pip_install --dry-run --no-index --no-deps "$1" >/dev/null 2>&1; then
        say "installing torch $TORCH from the local wheels that pip is set up with"
        pip_install "$@"
    else
        say "no GPU: looking for the CPU build of torch $TORCH"
        pip_install uv && UV_HTTP_TIMEOUT=30 python -m uv pip install --quiet --python "$(command -v python)" \
            --torch-backend=cpu "$@" >/dev/null 2>&1 && return
        say "not to be had from here; installing the usual build, which comes with several GB of CUDA libraries"
        pip_install "$@"
    fi
}

install_all() {
    pip_install 'setuptools>=64' wheel || return
    install_torch || return
    say "installing BasicSR 1.4.2 and this package"
    # without isolation, or BasicSR's build would fetch a torch of its own
    pip_install --no-build-isolation --use-pep517 'basicsr==1.4.2' || return
    pip_install --no-build-isolation --editable "$ROOT${EXTRAS-[test]}" || return
    if ! python -c 'import basicsr'; then
        say "installed, but BasicSR cannot be imported (see above). If a libGL or libgthread is missing, OpenCV's system" \
            "libraries are: on Debian and Ubuntu, apt-get install libgl1 libglib2.0-0"
        return 1
    fi
    say "done: $(python --version), torch $(python -c 'import torch; print(torch.__version__)'), BasicSR 1.4.2"
}

enter_environment && { is_set_up || install_all; }

# Sets up everything this repository needs and stays in the environment: . scripts/setup.sh
#
# The environment is the active one (a virtual environment or conda), or else .venv here, which is created with
# the Python named by $PYTHON, or the first of python3, python3.14, python3.13, ... python3.10 that is recent enough.
# Running it again takes a moment. It sets no shell options, so it can be sourced from anywhere.
# EXTRAS names the extras of the package: [dev], with which the tests run, unless set; EXTRAS='' is the core alone.

TORCH=2.13.0 # tested; another version that is already installed is kept
EXTRAS=${EXTRAS-[dev]}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd) # $0 in zsh

say() { printf 'setup: %s\n' "$*" >&2; }

fits() { # Is this a Python for which all packages can be had?
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' 2>/dev/null
}

say_how_to_get_python() {
    say "Set PYTHON=... to another one, or install one, e.g. by:"
    say '    uv python install 3.13 && export PYTHON=$(uv python find 3.13)      (pip install uv)'
    say '    pyenv install 3.13 && export PYTHON=$(pyenv prefix 3.13)/bin/python'
    say '    conda create --name asid python=3.13 && conda activate asid'
    say '    apt-get install python3 python3-venv      (Debian 12, Ubuntu 22.04 or later)'
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
        say "the active environment has $(python --version 2>&1); Python 3.10 to 3.14 is needed"
        return 1
    fi
    if "$ROOT/.venv/bin/python" -c '' 2>/dev/null; then
        if ! fits "$ROOT/.venv/bin/python"; then
            say "$ROOT/.venv has $("$ROOT/.venv/bin/python" --version); Python 3.10 to 3.14 is needed: remove it"
            return 1
        fi
        has_pip "$ROOT/.venv/bin/python" || return
    else
        local candidate python='' candidates=(python3 python3.{14,13,12,11,10})
        [ -n "${PYTHON:-}" ] && candidates=("$PYTHON")
        for candidate in "${candidates[@]}"; do
            if fits "$candidate"; then
                python=$candidate
                break
            fi
        done
        if [ -z "$python" ]; then
            python=${candidates[@]:0:1}
            say "Python 3.10 to 3.14 is needed; $python is $("$python" --version 2>/dev/null || echo 'not installed')"
            say_how_to_get_python
            return 1
        fi
        say "creating .venv with $("$python" --version)"
        "$python" -m venv --clear "$ROOT/.venv" || return # where one is, its Python is gone
    fi
    . "$ROOT/.venv/bin/activate"
}

is_set_up() { # Is this checkout installed, since its metadata last changed, with all that the extras ask for?
    python -I - "$ROOT" "$EXTRAS" <<'PYTHON'
import importlib.metadata as metadata
import json
import re
import sys
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement  # `packaging` itself need not be there

root, extras = Path(sys.argv[1]).resolve(), re.findall(r'[\w-]+', sys.argv[2])


def find_all(extra):
    """Look up what an extra requires, or the package itself where extra is None."""
    for requirement in map(Requirement, installed.requires):
        if requirement.marker is None or requirement.marker.evaluate({'extra': extra or ''}):
            metadata.distribution(requirement.name)
            if requirement.name == 'asid-plugin':
                for included in requirement.extras:
                    find_all(included)


try:
    installed = metadata.distribution('asid-plugin')
    for extra in (None, *extras):
        find_all(extra)
except metadata.PackageNotFoundError:
    sys.exit(1)
source = json.loads(installed.read_text('direct_url.json') or '{}')
is_ours = source.get('url') == root.as_uri() and source.get('dir_info', {}).get('editable')
hook = Path(installed.locate_file('asid_plugin.pth'))
changed = max((root / name).stat().st_mtime for name in ('pyproject.toml', 'setup.py'))
sys.exit(not (is_ours and hook.exists() and hook.stat().st_mtime > changed))
PYTHON
}

pip_install() { python -m pip install --quiet --disable-pip-version-check "$@"; }

install_torch() {
    local present torchvision=torchvision
    [ -n "$EXTRAS" ] || torchvision=
    present=$(python - 2>/dev/null <<'PYTHON'
import torch

version = torch.__version__.split('+')[0]
print(version if tuple(map(int, version.split('.')[:2])) >= (2, 6) else '')
PYTHON
)
    if [ -n "$present" ]; then
        pip_install "torch==$present" $torchvision # so that torchvision fits, whichever torch it is
        return
    fi
    set -- "torch==$TORCH" $torchvision
    if nvidia-smi >/dev/null 2>&1 || [ "$(uname -s)" != Linux ]; then
        say "installing torch $TORCH"
        pip_install "$@"
    elif pip_install --dry-run --no-index --no-deps "$1" >/dev/null 2>&1; then
        say "installing torch $TORCH from the local wheels in the configuration of pip"
        pip_install "$@"
    else
        say "no GPU: looking for the CPU build of torch $TORCH"
        pip_install uv && UV_HTTP_TIMEOUT=30 python -m uv pip install --quiet --python "$(command -v python)" \
            --torch-backend=cpu "$@" >/dev/null 2>&1 && return
        say "the CPU build cannot be downloaded; installing the usual build, with several GB of CUDA libraries"
        pip_install "$@"
    fi
}

install_all() {
    pip_install 'setuptools>=77' || return
    install_torch || return
    say "installing this package with the extras '$EXTRAS'"
    if [ -n "$EXTRAS" ] && python -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then
        say "$(python --version) builds BasicSR 1.4.2 with the help of scripts/basicsr_build/sitecustomize.py"
    fi
    # without isolation: otherwise BasicSR's build would download another torch and ignore sitecustomize.py
    PYTHONPATH="$ROOT/scripts/basicsr_build${PYTHONPATH:+:$PYTHONPATH}" \
        pip_install --no-build-isolation --use-pep517 --editable "$ROOT$EXTRAS" || return
    if ! python -c 'from importlib.util import find_spec; import cv2; find_spec("basicsr") and __import__("basicsr")'; then
        say "installed, but OpenCV or BasicSR cannot be imported (see above). If libGL or libgthread is missing," \
            "install OpenCV's system libraries: on Debian and Ubuntu, apt-get install libgl1 libglib2.0-0"
        return 1
    fi
    say "done: $(python --version), torch $(python -c 'import torch; print(torch.__version__)')"
}

enter_environment && { is_set_up || install_all; }

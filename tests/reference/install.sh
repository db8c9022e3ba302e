#!/usr/bin/env bash
# Installs PyTorch and what is beside it in requirements.txt into a new Python environment, for a CPU only.
#
#   tests/reference/install.sh VENV [MORE PACKAGES…]     MORE are installed without what they ask for
#
# On Linux with an x86-64 processor the registry has PyTorch for CUDA alone; there it is installed without CUDA's libraries (2.5 GB), and
# stub_cuda.py writes empty ones in their place. Everywhere else it is an ordinary install.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
venv=$1
shift
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
fi
pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
if ! "$venv/bin/python" -c 'import torch, transformers' 2>/dev/null; then
    if [ "$(uname -sm)" = "Linux x86_64" ]; then
        grep -v '^torch==' "$here/requirements.txt" >"$venv/others.txt"
        pip install -r "$venv/others.txt" filelock typing-extensions sympy networkx jinja2 fsspec setuptools
        pip install --no-deps "$(grep '^torch==' "$here/requirements.txt")" nvidia-cuda-runtime nvidia-cuda-cupti
        "$venv/bin/python" "$here/stub_cuda.py" "$venv"
    else
        pip install -r "$here/requirements.txt"
    fi
fi
[ $# -eq 0 ] || pip install --no-deps "$@"
"$venv/bin/python" -c 'import torch, transformers; print(f"torch {torch.__version__}, transformers {transformers.__version__}")'

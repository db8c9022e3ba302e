#!/usr/bin/env bash
# Makes a throw-away environment and trains both little networks in it: about half an hour of processor time.
#
#   tests/reference/train.sh FOLDER        writes FOLDER/clip and FOLDER/sam, each a folder that `hm models import` takes
#
#   OMP_NUM_THREADS=2      cores to use
#   HM_REFERENCE_VENV=…    an environment that is kept and used again
#   HM_REFERENCE_ONLY=sam  one of the two
#   HM_REFERENCE_CLIP="--steps 900", HM_REFERENCE_SAM="--steps 900"   further arguments of each
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} PYTHONDONTWRITEBYTECODE=1

venv=${HM_REFERENCE_VENV:-}
if [ -z "$venv" ]; then
    venv=$(mktemp -d "${TMPDIR:-/tmp}/hm-reference.XXXXXX")
    trap 'rm -rf "$venv"' EXIT
fi
"$here/install.sh" "$venv"

cd "$here"
only=${HM_REFERENCE_ONLY:-clip sam}
for network in $only; do
    case $network in
        clip) arguments=${HM_REFERENCE_CLIP:-} ;;
        sam) arguments=${HM_REFERENCE_SAM:-} ;;
        *) echo "HM_REFERENCE_ONLY is clip or sam, not $network" >&2; exit 2 ;;
    esac
    # shellcheck disable=SC2086  # several arguments in one variable
    "$venv/bin/python" "train_$network.py" "$out/$network" $arguments
done

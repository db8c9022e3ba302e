#!/usr/bin/env bash
# Builds an hm for NVIDIA cards, on a machine that needs neither a card nor a driver. The same program starts where there is no CUDA.
#
#   scripts/build-cuda.sh [FEATURES]        default: work,cuda, which is what a worker needs; library,work,cuda is all of hm
#   scripts/build-cuda.sh toolkit           only fetches NVIDIA's compiler, compiles one kernel with it, and ends
#
# It installs nothing into the system. NVIDIA's compiler comes from PyPI (scripts/cuda-packages.txt: fixed versions and digests, 255 MB)
# into .hm/cuda, 0.6 GB, which can be deleted afterwards. Set:
#   CUDA_COMPUTE_CAP  oldest generation of cards to build for, as NVIDIA counts them [default: 80, the RTX 30 series; 89 is the 40, 120 the 50]
#   HM_CUDA_DIR       where the compiler lies or is put [default: .hm/cuda]
#
# A program that is linked with CUDA's own libraries does not start without them. So they are taken out of the linker's sight, and
# stand-ins put in their place which open them at the first call (scripts/lazy-cuda.py).
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
die() { say "build-cuda: $*"; exit 1; }

features=${1:-work,cuda}
cuda=$(realpath -m "${HM_CUDA_DIR:-.hm/cuda}")
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80}

[ "$(uname -sm)" = "Linux x86_64" ] || die "this recipe is for Linux on x86-64, and this is $(uname -sm)
hint: on a Mac, cargo build --release --features metal"
for tool in python3 c++ cc nm ar readelf; do
    command -v $tool >/dev/null || die "\`$tool\` is missing
hint: apt install python3 python3-pip build-essential"
done
python3 -m pip --version >/dev/null 2>&1 || die "pip is missing, which fetches NVIDIA's compiler
hint: apt install python3-pip"

# --- NVIDIA's compiler ------------------------------------------------------------------------------------------------
root=$cuda/nvidia/cu13
if [ ! -e "$cuda/complete" ] || ! cmp -s scripts/cuda-packages.txt "$cuda/complete"; then
    say "fetching NVIDIA's compiler into $cuda"
    rm -rf "$cuda"
    mkdir -p "$cuda/wheels"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --dest "$cuda/wheels" --requirement scripts/cuda-packages.txt || die "NVIDIA's compiler could not be fetched from PyPI
hint: it needs a network and 1 GB of room; behind a mirror, set PIP_INDEX_URL"
    for wheel in "$cuda"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$cuda"; done
    rm -r "$cuda/wheels"
    [ -e "$root/bin/nvcc" ] || die "the packages hold no nvidia/cu13/bin/nvcc"
    chmod +x "$root"/bin/* "$root"/nvvm/bin/*
    ln -sfn lib "$root/lib64"
    # The linker takes a shared library before a static one, wherever it sees both.
    mkdir "$root/shared"
    find "$root/lib" -maxdepth 1 -name '*.so*' -exec mv -t "$root/shared" {} +
    cp "$root/lib/libcudart_static.a" "$root/lib/libcudart.a"
    cp scripts/cuda-packages.txt "$cuda/complete"
fi
export CUDA_HOME=$root CUDA_PATH=$root CUDA_ROOT=$root CUDA_TOOLKIT_ROOT_DIR=$root PATH=$root/bin:$PATH
say "$(nvcc --version | tail -n 1), for cards from sm_$CUDA_COMPUTE_CAP on"

try=$(mktemp -d)
trap 'rm -rf "$try"' EXIT
echo '__global__ void twice(float *x) { x[threadIdx.x] *= 2; }' >"$try/twice.cu"
nvcc --ptx -arch="sm_$CUDA_COMPUTE_CAP" -o "$try/twice.ptx" "$try/twice.cu" || die "NVIDIA's compiler does not compile here
hint: CUDA 13.0 takes g++ from 6 to 15, and CUDA_COMPUTE_CAP from 75 on; this is $(c++ --version | head -n 1)"
[ "$features" != toolkit ] || exit 0

# --- hm -----------------------------------------------------------------------------------------------------------------
cargo=${CARGO:-cargo}
release=${CARGO_TARGET_DIR:-target}/release
# First all but the program, which cannot be linked yet: what it calls of CUDA is read out of this.
$cargo build --release --locked --no-default-features --features "$features" --lib
scripts/lazy-cuda.py "$root/lib" "$release"/deps/*.rlib
$cargo build --release --locked --no-default-features --features "$features" --bin hm

needed=$(readelf -d "$release/hm" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
for library in $needed; do
    case $library in libcu* | libnv*) die "the program would not start without $library" ;; esac
done
"$release/hm" --version >&2 || die "the program does not start here"
say "$release/hm is built; it needs$(printf ' %s' $needed)"
say "on the machine with the card: NVIDIA's driver from 580 on, and cuBLAS and cuRAND of CUDA 13 where the loader finds them (README.md)"

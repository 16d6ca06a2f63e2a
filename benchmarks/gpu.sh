#!/usr/bin/env bash
# Everything that is measured on a GPU, in one command of under 8 minutes on one GPU.
#
#   benchmarks/gpu.sh [--out FILE] [--rounds N]     on a machine with a GPU; the record is ONE JSON file, by default
#                                                   benchmarks/results/gpu.json
#   benchmarks/gpu.sh --device cpu --small          tiny sizes, to see whether it runs; says what it skips
#   benchmarks/gpu.sh --papers [--limit SECONDS]    Tables 1 to 3 of the CLR paper instead, in under 10 minutes: see
#                                                   benchmarks/papers/gpu.py. LEARNRATE_DATA names the folder of the data, of
#                                                   which CIFAR-10 is needed (cifar10_dct.npz, 18 MiB)
#   benchmarks/gpu.sh --fetch                       on a machine with a network: downloads what a bare machine may lack into
#                                                   benchmarks/wheels/, which is then copied along with the repository
#
# It needs a Python (3.11 or newer) with a PyTorch that sees the GPU: $PYTHON, or python3, or .venv/bin/python. Other packages
# that are missing are installed into a temporary folder, from benchmarks/wheels/ or over the network. Nothing else is changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wheels=benchmarks/wheels
# Without the first two nothing runs; without the others the GPU tests are skipped, and the record says so.
required="numpy array-api-compat"
for_tests="pytest hypothesis matplotlib"
# Those without compiled code fit any machine; hypothesis fits machines with this version of Python.
carried="array-api-compat pytest iniconfig pluggy packaging pygments hypothesis sortedcontainers"

die() { echo "error: $*" >&2; exit 2; }
has() { "$1" -c "import importlib.util as u, sys; sys.exit(u.find_spec('${2//-/_}') is None)"; }

python=""
for candidate in ${PYTHON:+"$PYTHON"} python3 .venv/bin/python; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    [ -n "$python" ] || python=$candidate
    if has "$candidate" torch; then python=$candidate; break; fi
  fi
done
[ -n "$python" ] || die "no Python 3.11 or newer was found: set PYTHON to one that has PyTorch"

if [ "${1:-}" = --fetch ]; then
  # shellcheck disable=SC2086
  "$python" -m pip download --quiet --no-deps --only-binary=:all: -c constraints.txt -d "$wheels" $carried
  echo "downloaded into $wheels: $(ls "$wheels" | wc -l) wheels, $(du -sh "$wheels" | cut -f1)"
  exit
fi

has "$python" torch || die "torch is missing for $python: install a PyTorch build for this machine's GPU, or set PYTHON to one that has it"

site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
export PYTHONPATH="src:$site"
for package in $required $for_tests; do
  has "$python" "$package" && continue
  echo "installing $package, which is missing, into a temporary folder ..."
  "$python" -m pip install --quiet --no-index --find-links "$wheels" --target "$site" "$package" 2>/dev/null ||
    timeout 60 "$python" -m pip install --quiet --disable-pip-version-check --target "$site" "$package" 2>/dev/null || true
done
for package in $required; do
  has "$python" "$package" || die "$package is missing and cannot be installed here: run 'benchmarks/gpu.sh --fetch' on a machine with" \
    "a network and copy $wheels along, or install $package for $python"
done

if [ "${1:-}" = --papers ]; then
  shift
  timeout 595 "$python" -m benchmarks.papers.gpu "$@"
  exit
fi

# The Python part stops by itself in time; this is for a hang.
timeout 475 "$python" benchmarks/gpu.py "$@"

#!/usr/bin/env bash
# Resolve pyproject.toml into the three lock files. Run after changing a dependency; needs `uv` and the package index.
#   train.txt  everything, resolved once     test.txt, base.txt  subsets of it at the same versions
# torch and what only its CUDA build needs are left out: infra/install.sh chooses the build for the machine.
set -euo pipefail
cd "$(dirname "$0")/.."
gpu_stack=(torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc
  nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse
  nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx)
compile() {
  uv pip compile pyproject.toml --universal --python-version 3.11 --no-header --no-annotate --quiet \
    --override <(echo 'typer>=0.29  # openapi-python-client holds it back, for a command line that nobody here calls') \
    "${gpu_stack[@]/#/--no-emit-package=}" "$@"
}
compile --extra test --extra train -o requirements/train.txt
compile --extra test -c requirements/train.txt -o requirements/test.txt
compile -c requirements/train.txt -o requirements/base.txt
if grep -E '^(nvidia|cuda|triton|torch)' requirements/*.txt; then
  echo "a package of the GPU stack is in a lock file: add it to gpu_stack above" >&2
  exit 1
fi

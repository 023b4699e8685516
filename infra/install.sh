#!/usr/bin/env bash
# Make .venv and install a lock file into it: infra/install.sh [base|test|train]. Does nothing when nothing changed.
# Needs Python 3.11 or 3.12 and a package index; no root. PYTHON=… chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
lock=${1:-base}
TORCH=2.13.0
UV=0.13.9

say() { printf '\033[1m› %s\033[0m\n' "$*" >&2; }
die() { printf 'install: %s\n' "$*" >&2; exit 1; }

python=${PYTHON:-}
if [ -z "$python" ]; then
  for candidate in python3.11 python3.12 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in {(3, 11), (3, 12)})' 2>/dev/null; then
      python=$candidate
      break
    fi
  done
fi
[ -n "$python" ] || die "no Python 3.11 or 3.12 found: install one (apt install python3 python3-venv) or name it, PYTHON=/path make …"

# A set-up that was cut off leaves no stamp, so it is finished on the next call.
stamp=.venv/.s2i-$lock
want=$(cat requirements/"$lock".txt infra/install.sh pyproject.toml | cksum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && exit 0

if [ ! -x .venv/bin/pip ]; then
  say "making .venv with $("$python" --version)"
  "$python" -m venv .venv || die "this Python cannot make virtual environments: apt install python3-venv"
fi
.venv/bin/pip install --quiet --disable-pip-version-check "uv==$UV"
# Compiled once, here: where Python may not write (PYTHONDONTWRITEBYTECODE, a read-only folder), each of Ray's many
# processes would compile some thousand modules anew.
uv() { VIRTUAL_ENV=$PWD/.venv UV_HTTP_TIMEOUT=180 UV_COMPILE_BYTECODE=1 .venv/bin/uv "$@"; }

if ! .venv/bin/python -c "import importlib.metadata as m; assert m.version('torch').split('+')[0] == '$TORCH'" 2>/dev/null; then
  if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
    say "installing torch $TORCH for this machine's GPU"
    uv pip install --torch-backend=auto "torch==$TORCH"
  else
    say "installing torch $TORCH for the CPU"
    # First where pip is configured to look (a mirror, a wheel folder), then PyTorch's own CPU index, which uv knows.
    .venv/bin/pip install --quiet --disable-pip-version-check "torch==$TORCH+cpu" 2>/dev/null \
      || uv pip install --torch-backend=cpu "torch==$TORCH" \
      || die "no CPU build of torch $TORCH can be had: point pip at one (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL)"
  fi
fi

say "installing $(grep -c == requirements/"$lock".txt) pinned packages ($lock)"
uv pip install --no-deps -r requirements/"$lock".txt
uv pip install --quiet --no-deps --editable .
echo "$want" >"$stamp"
# A larger set contains the smaller ones.
case $lock in
  train) rm -f .venv/.s2i-test .venv/.s2i-base ;;
esac

# Sourced by every script here: where things lie.

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

# The one place that says where downloads are kept.
: "${APUS_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/apus}"
: "${APUS_MODELS:=$APUS_CACHE/models}"
export APUS_CACHE APUS_MODELS

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# A program of the toolchain in use, e.g. `toolchain clang`: never the one the system may have too.
toolchain() {
  local swift bin
  swift=$(command -v swift) || die "no \`swift\` on PATH"
  for bin in "$(dirname "$swift")" "$(dirname "$(readlink -f "$swift")")"; do
    [ ! -x "$bin/$1" ] || { echo "$bin/$1"; return; }
  done
  die "the Swift toolchain has no $1"
}

# Sourced by tools/check and tools/test: named steps, timed, summed up at the end of the outermost script.

. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"

# One line a step: verdict, seconds, passed, failed, name. A script that another one of the two has
# started writes into its caller's ledger and leaves the summary to it.
if [ -z "${APUS_LEDGER:-}" ]; then
  APUS_LEDGER=$(mktemp)
  export APUS_LEDGER
  trap 'rm -f "$APUS_LEDGER"' EXIT
  summary() {
    say ""
    awk '{ printf "%-6s %5d s  ", $1, $2; passed += $3; failed += $4; seconds += $2
           $1 = $2 = $3 = $4 = ""; sub(/^ +/, ""); print }
      END { printf "%-6s %5d s\n%d passed, %d failed\n", "all", seconds, passed, failed
            exit failed > 0 || passed == 0 }' "$APUS_LEDGER"
  }
else
  summary() { ! grep -q '^failed' "$APUS_LEDGER"; }
fi

# step NAME COMMAND… runs the command, notes what came of it in $verdict and the ledger, and goes on. A
# step counts as one test, unless it writes how many passed and failed ("PASSED FAILED") into $COUNTS.
# Never call it as a condition (`step … || …`): inside one, bash ignores `set -e` down to the last
# command, and a step that broke in the middle would pass.
step() {
  local name=$1 start=$SECONDS counts="1 0"
  shift
  verdict=passed
  say "== $name"
  COUNTS=$(mktemp)
  set +e
  (set -e; "$@")
  [ $? = 0 ] || verdict=failed
  set -e
  [ ! -s "$COUNTS" ] || counts=$(cat "$COUNTS")
  rm -f "$COUNTS"
  [ $verdict = passed ] || [ "${counts#* }" -gt 0 ] || counts="0 1"
  echo "$verdict $((SECONDS - start)) $counts $name" >> "$APUS_LEDGER"
  [ $verdict = passed ] || say "== $name: FAILED"
}

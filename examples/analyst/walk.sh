#!/usr/bin/env bash
# An analyst's day, from nothing: a broker, made-up payments, a model, scores and their explanations;
# then find, show, replay, export, label and audit, each as a person would type it.
#
#   examples/analyst/walk.sh [FOLDER]      (after `make`; takes about two minutes)
#
# All that it makes is in FOLDER (by default a new one under /tmp): look at letter.pdf and both.html
# there. Nothing goes on running when it ends.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
export PATH="$HERE/../../.venv/bin:$PATH"
FOLDER=${1:-$(mktemp -d -t weir-analyst-XXXXXX)}
mkdir -p "$FOLDER"
cd "$FOLDER"

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }

# The event of the latest explanation of a decline; nothing while there is none.
latest() {
  weir explanation find --decision decline --limit 1 --by ada --json 2>/dev/null | python -c '
import json, sys
for record in json.load(sys.stdin)["records"]:
    print(record["event"]["id"])' 2>/dev/null
}

cleanup() {
  [ -z "$(jobs -p)" ] || kill $(jobs -p) 2>/dev/null || true
  wait
  weir broker stop >/dev/null 2>&1 || true
}
trap cleanup EXIT

# ---------------------------------------------------------------- what the platform team has set up
weir init
cat >> weir.toml <<'TOML'

[explain]
key_ring = "keys.db"        # customers stand in explanations as tokens

[letters]
institution = "Bank of the Weir"
address = ["1 River Street", "12345 Riverside"]
contact = "Ada Winter, payment security"
phone = "+49 30 1234567"
TOML
python - <<'PYTHON'
import pyarrow.parquet as pq
from weir.simulator import SimulatorSettings, simulate
payments = simulate(SimulatorSettings.for_events(60_000))
pq.write_table(payments, "payments.parquet")
pq.write_table(payments.slice(0, 50_000), "history.parquet")
PYTHON
weir tokens make
weir broker start
weir topics
weir train --data history.parquet --no-progress
for process in score explainer sink; do    # each a service of its own
  weir $process --metrics-port 0 2> "$process.log" &
done
weir replay payments.parquet --rate 3000 --limit 60000

# ---------------------------------------------------------------------------------- the analyst
for _ in $(seq 120); do
  ID=$(latest || true)
  [ -z "$ID" ] || break
  sleep 0.5
done
[ -n "$ID" ] || { echo "no explanation came; the logs are in $FOLDER" >&2; exit 1; }
say weir explanation find --decision decline --limit 5 --by ada --note "what was declined lately"
say weir explanation show "$ID" --by ada --note "complaint 7"
say weir explanation show "$ID" --by ada --note "complaint 7, in German" --lang de
say weir explanation reproduce "$ID" --by ada
say weir explanation export "$ID" --format pdf --for customer -o letter.pdf --by ada
say weir explanation export "$ID" --format html --for both -o both.html --by ada
say weir explanation export "$ID" --format json --for analyst -o record.json --by ada
say weir label "$ID" legitimate --by ada --note "complaint 7: it was the customer"
say weir audit verify
say weir audit log
echo
echo "letter.pdf, both.html and record.json are in $FOLDER"

#!/usr/bin/env bash
# Trains against a judge over HTTP while the judge's server is killed for 20 s and the run itself is killed with -9,
# then counts: examples/http-judge/trial.sh MODEL GGUF [FOLDER]
#   MODEL   the policy: a Transformers folder or a GGUF file
#   GGUF    the judge
#   FOLDER  where run, logs and counts go (default: runs/http-judge-trial)
# The server is `pip install xllamacpp` (llama.cpp's own server in a wheel) run by $PYTHON; or set JUDGE_SERVER to a
# command that serves OpenAI's chat completions on port $SERVER_PORT of 127.0.0.1. A base model gets its messages as plain
# text; TEMPLATE=own takes the chat template in the GGUF file instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
model=$(realpath "$1") gguf=$(realpath "$2") folder=${3:-runs/http-judge-trial}
export SERVER_PORT=${SERVER_PORT:-8091}
# Where run.yaml looks for the judge: the proxy that counts.
port=8090
python=${PYTHON:-python3}
server=${JUDGE_SERVER:-}
mkdir -p "$folder"
folder=$(realpath "$folder")
[ ! -e "$folder/runs" ] || { echo "$folder/runs is there already: give another folder" >&2; exit 1; }

serve() {
  if [ -n "$server" ]; then exec bash -c "exec $server"; fi
  exec "$python" -c '
import sys, threading, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.port, p.n_ctx, p.n_parallel = sys.argv[1], int(sys.argv[2]), 4096, 4
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
if sys.argv[3] == "plain":
    p.use_jinja, p.chat_template = True, "{% for message in messages %}{{ message.content }}{% endfor %}"
server = xllamacpp.Server(p)
threading.Event().wait()' "$gguf" "$SERVER_PORT" "${TEMPLATE:-plain}"
}
start_server() {
  serve >>"$folder/server.log" 2>&1 &
  server_pid=$!
  until curl -sf -o /dev/null "http://127.0.0.1:$SERVER_PORT/v1/models"; do
    kill -0 "$server_pid" || { echo 'the server ended:' >&2; tail -5 "$folder/server.log" >&2; exit 1; }
    sleep 1
  done
}
start_training() {
  node "$root/dist/cli/index.js" train "$here/run.yaml" ${TRAIN_OPTIONS:-} --set "model.path=$model" --set "runs=$folder/runs" \
    "$@" >>"$folder/train.log" 2>&1 &
  train_pid=$!
}
note() { echo "{\"at\": \"$(date -u +%FT%T.%3NZ)\", \"event\": \"$1\"}" | tee -a "$folder/events.jsonl"; }
calls() { if [ -e "$folder/calls.jsonl" ]; then wc -l <"$folder/calls.jsonl"; else echo 0; fi; }
steps() { cat "$folder"/runs/run/metrics.jsonl 2>/dev/null | grep -c '"loss"' || true; }
# Waits until $1 steps are done and $2 calls of the next one have been answered.
await_step() {
  until [ "$(steps)" -ge "$1" ]; do alive; sleep 1; done
  local before
  before=$(calls)
  until [ "$(calls)" -ge $((before + $2)) ]; do alive; sleep 0.2; done
}
alive() { kill -0 "$train_pid" 2>/dev/null || { echo 'the run ended:' >&2; tail -5 "$folder/train.log" >&2; exit 1; }; }

# When to do what: the step whose end is awaited, and how many calls into the next one.
outage_step=${OUTAGE_STEP:-3} kill_step=${KILL_STEP:-9} into=${INTO:-20}
trap 'trap - EXIT; kill $(jobs -p) 2>/dev/null || true' EXIT

note 'server started'
start_server
node "$root/node_modules/jiti/lib/jiti-cli.mjs" "$here/count.ts" "$port" "http://127.0.0.1:$SERVER_PORT" \
  "$folder/calls.jsonl" >"$folder/proxy.log" 2>&1 &
sleep 2
note 'run started'
start_training

await_step "$outage_step" "$into"
note 'server killed with -9'
kill -9 "$server_pid"
sleep 20
start_server
note 'server answers again'

await_step "$kill_step" "$into"
note 'run is about to be killed'
kill -9 "$train_pid"
note 'run killed with -9'
wait "$train_pid" 2>/dev/null || true
sleep 3
note 'run resumed'
start_training --resume
wait "$train_pid"
note 'run ended'
node "$root/node_modules/jiti/lib/jiti-cli.mjs" "$here/count-report.ts" "$folder"

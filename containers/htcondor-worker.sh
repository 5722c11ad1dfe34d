#!/bin/bash
# Workers of Soda Fountain as a job of HTCondor (htcondor-worker.sub), or of any batch system that sends SIGTERM
# before it kills:
#
#   htcondor-worker.sh WORKERS SECONDS [--lane low]
#
# WORKERS are run side by side, and told to stop after SECONDS: what is not done then is put back. PROGRAM is the
# installed command `fountain`, the settings are those of the environment (FOUNTAIN_CONFIG names their file).
set -eu

count=${1:?htcondor-worker.sh WORKERS SECONDS}
seconds=${2:?htcondor-worker.sh WORKERS SECONDS}
shift 2
program=${PROGRAM:-/opt/fountain/bin/fountain}
python=$(dirname "$program")/python

# SQLite keeps its locks on one host; workers of others would break them, or be refused after they have started.
kind=$("$python" -c 'from config.settings import load_settings
print(load_settings().data.engine_url.partition(":")[0])')
if [ "$kind" = sqlite ]; then
    echo "the database is SQLite: workers of a batch system need PostgreSQL (data.database_url)" >&2
    exit 1
fi

workers=()
# Sent away before the time is over.
trap 'kill -TERM "${workers[@]}" 2>/dev/null || true' TERM INT
for ((i = 0; i < count; i++)); do
    timeout --preserve-status --signal=TERM "$seconds" "$program" worker "$@" &
    workers+=($!)
done

status=0
for worker in "${workers[@]}"; do
    ended=0
    wait "$worker" || ended=$?
    # A signal interrupts wait: the worker is still finishing.
    while kill -0 "$worker" 2>/dev/null; do
        ended=0
        wait "$worker" || ended=$?
    done
    [ "$ended" -eq 0 ] || status=$ended
done
exit "$status"

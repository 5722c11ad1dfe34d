#!/bin/bash
# Workers of Soda Fountain as a job of Slurm: one worker for each task, on as many nodes as are asked for.
#
#   sbatch --nodes=2 --ntasks-per-node=8 slurm-worker.sh [--lane low]
#
# PROGRAM is the installed command `fountain`, the settings are those of the environment (FOUNTAIN_CONFIG names
# their file): every node must reach the same database, Redis, images and results. A minute before its time is
# over Slurm sends SIGTERM: workers put back what they have not done, and the job ends well.
#
#SBATCH --job-name=fountain-worker
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=5G
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --no-requeue
set -eu

program=${PROGRAM:-/opt/fountain/bin/fountain}
python=$(dirname "$program")/python

# SQLite keeps its locks on one host; workers of others would break them, or be refused after they have started.
kind=$("$python" -c 'from config.settings import load_settings
print(load_settings().data.engine_url.partition(":")[0])')
if [ "$kind" = sqlite ]; then
    echo "the database is SQLite: workers of a batch system need PostgreSQL (data.database_url)" >&2
    exit 1
fi

# One worker may fail; the others go on.
srun --kill-on-bad-exit=0 "$program" worker "$@" &
workers=$!
# The end of the time comes to this script alone. srun must not hear of it, which would kill its tasks at once: the
# tasks are told by Slurm itself.
trap 'scancel --signal=TERM "$SLURM_JOB_ID" || true' TERM INT
status=0
wait "$workers" || status=$?
# A signal interrupts wait: the workers are still finishing.
while kill -0 "$workers" 2>/dev/null; do
    status=0
    wait "$workers" || status=$?
done
exit "$status"

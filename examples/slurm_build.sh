#!/bin/bash
# A corpus built by an array of jobs that share a folder, then joined by one more job.
#
#     sbatch --array=1-16 examples/slurm_build.sh data/ corpus
#
# Each task makes its part of the shards; the first one surveys the text and trains the vocabulary while the others
# wait. A task that was killed is submitted again with the same command and goes on where it stopped. The corpus is, byte
# for byte, the one that a single build would have made. Any other flag of `corpora build` may stand behind the two.
#SBATCH --cpus-per-task=16
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail

source=$1 out=$2
shift 2
parts=${SLURM_ARRAY_TASK_COUNT:?submit with --array=1-N} part=${SLURM_ARRAY_TASK_ID}

if [ "$part" = 1 ] && command -v sbatch > /dev/null; then
    sbatch --dependency="afterok:${SLURM_ARRAY_JOB_ID}" --wrap "corpora join '$out'"
fi
exec corpora build "$source" --out "$out" --shard "$part/$parts" "$@"

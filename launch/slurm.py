"""Writes and submits a job of a SLURM cluster.

    python launch/slurm.py --nodes=4 --gpus_per_node=8 --time=24:00:00 --config=configs/gpt2_pretrain.py \\
        --workdir=/scratch/me/gpt2 [--seeds=0,1,2] [--restarts=N] [--dry_run] [-- more of bigmodel_jax.main's]
    python launch/slurm.py --nodes=1 --trials=0-5 --config=configs/mnist.py:val --workdir=/scratch/me/lr \\
        -- --grid=optimizer.lr=1e-2,3e-2 --seeds=3

One task a GPU, or one a node where there are none: that is how JAX takes SLURM's variables. 90 seconds
before the time limit, or when it is preempted, the run saves and the job queues again, until the run
is at its end. --trials is an array of the trials of an ablation, by the numbers that `python -m
bigmodel_jax.ablate --dry_run` gives them; the same ablation once they are done makes the report. The
script and the output go to slurm/, the working tree is used where it lies.
"""

import re
import shlex
import sys
from pathlib import Path

import job

FOLDER = Path("slurm")
# Seconds before the time limit in which the run saves. SLURM may send the signal a minute early.
NOTICE = 90


def main() -> int:
    parser = job.parser(__doc__)
    parser.add_argument("--name", help="of the job; by default that of the run")
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--gpus_per_node", type=int, default=0, help="0: train on the CPUs")
    parser.add_argument("--cpus_per_task", type=int)
    parser.add_argument("--time", help="limit of one stretch, as sbatch takes it: 24:00:00")
    parser.add_argument("--partition")
    parser.add_argument("--account")
    parser.add_argument("--seeds", help="0,1,2: an array job, a run each in WORKDIR-seed=N")
    parser.add_argument("--trials", help="0-5: an array job, a trial each of bigmodel_jax.ablate")
    parser.add_argument(
        "--sbatch",
        action="append",
        default=[],
        help="one more option of sbatch: --sbatch=--qos=low",
    )
    parser.add_argument("--python", default=sys.executable, help="that runs on the nodes")
    options = parser.parse_args()
    job.positive(options, "nodes")
    if options.seeds and not re.fullmatch(r"\d+(,\d+)*", options.seeds):
        job.fail(f"--seeds {options.seeds!r} is not whole numbers with commas between, like 0,1,2.")
    if options.seeds and not options.workdir:
        job.fail("--seeds needs --workdir: each run lives in its own WORKDIR-seed=N.")
    if options.trials and not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*(%\d+)?", options.trials):
        job.fail(
            f"--trials {options.trials!r} is not numbers as of sbatch --array, like 0-5 or 0,3."
        )
    if options.trials and (options.nodes > 1 or options.gpus_per_node > 1):
        job.fail("--trials gives each trial one process: --nodes=1, and --gpus_per_node=1 at most.")
    if options.trials and options.seeds:
        job.fail(
            "--trials and --seeds are two arrays: an ablation has --seeds of its own, after --."
        )

    path, text = FOLDER / f"{job.name(options)}.sbatch", script(options)
    submit = ["sbatch", str(path)]
    if options.dry_run:
        print(f"# {path}\n{text}")
        job.show(submit)
        return 0
    FOLDER.mkdir(exist_ok=True)
    path.write_text(text)
    job.run(submit)
    return 0


def script(options) -> str:
    """The batch script, which SLURM runs on the first node."""
    array = options.seeds or options.trials
    directives = {
        "job-name": job.name(options),
        "nodes": options.nodes,
        "ntasks-per-node": options.gpus_per_node or 1,
        # Not --gpus-per-task: JAX picks a task's device among all of the node, by its local index.
        "gpus-per-node": options.gpus_per_node or None,
        "cpus-per-task": options.cpus_per_task,
        "time": options.time,
        "partition": options.partition,
        "account": options.account,
        "array": array,
        "signal": f"TERM@{NOTICE}",
        "open-mode": "append",
        "output": f"{FOLDER}/%x-{'%A_%a' if array else '%j'}.out",
    }
    lines = [f"#SBATCH --{key}={value}" for key, value in directives.items() if value is not None]
    lines += ["#SBATCH --requeue", *(f"#SBATCH {option}" for option in options.sbatch)]
    module = "bigmodel_jax.ablate" if options.trials else "bigmodel_jax.main"
    words = [options.python, "-m", module, *job.arguments(options)]
    words.append(f"--stopped_exit_code={job.STOPPED}")
    command = shlex.join(words)
    if options.trials:
        command += ' --only_trial="$SLURM_ARRAY_TASK_ID"'
    elif array:  # the last of two values of a flag holds
        command += (
            f' --config.seed="$SLURM_ARRAY_TASK_ID"'
            f" --workdir={shlex.quote(options.workdir)}-seed=" + '"$SLURM_ARRAY_TASK_ID"'
        )
    return f"""#!/bin/bash
{chr(10).join(lines)}

set -uo pipefail
export PYTHONUNBUFFERED=1
# A task that has saved and left must not have the others killed; of one that died they know.
srun --kill-on-bad-exit=0 {command}
code=$?
if [ "$code" -eq {job.STOPPED} ]; then
  echo "The run has saved and is not at its end: the job queues again."
  scontrol requeue "$SLURM_JOB_ID"
elif [ "$code" -ne 0 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {options.restarts} ]; then
  echo "The run failed with exit code $code: the job queues again."
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


if __name__ == "__main__":
    sys.exit(main())

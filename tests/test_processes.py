"""Two processes that JAX finds by SLURM's variables: they agree, or say how they differ, and end together."""

import os
import socket
import subprocess
import sys

import pytest

from bigmodel_jax import processes
from bigmodel_jax.errors import UserError

SCRIPT = """
import os
from bigmodel_jax import processes
from bigmodel_jax.errors import UserError
with processes.joined({"config": {"seed": 0}}):
    import jax
    index = jax.process_index()
    processes.agree({"data": {"fingerprint": "same", "sizes": (1, 2)}})
    try:
        processes.agree({"data": {"fingerprint": "new"[index:]}})
    except UserError as error:
        print(f"process {index} of {jax.process_count()}:", error, flush=True)
    if index == 1:
        os.kill(os.getpid(), 9)
    processes.agree({})  # a collective with one that is dead
"""


def test_they_join_compare_what_they_found_and_notice_a_death():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    # As srun sets them for the tasks of a step; JAX would make a port of the job's number.
    slurm = {
        "SLURM_JOB_ID": "17", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2",
        "SLURM_LOCALID": "0", "JAX_COORDINATOR_PORT": port, "XLA_FLAGS": "",
    }  # fmt: skip
    both = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, **slurm, "SLURM_PROCID": str(index)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(2)
    ]
    outputs = [p.communicate(timeout=60)[0] for p in both]
    for index, output in enumerate(outputs):
        assert f"process {index} of 2: Process 1 finds other data" in output, output
        assert 'data.fingerprint: "new" -> "ew"' in output
    assert "error: Process 1 was killed" in outputs[0] and "Traceback" not in outputs[0]
    assert [p.returncode for p in both] in ([1, -9], [-6, -9])  # JAX may be first, and aborts


@pytest.mark.parametrize(
    "variables, sentence",
    [
        ({"BIGMODEL_COORDINATOR": "localhost:1"}, "needs BIGMODEL_PROCESSES"),
        ({"BIGMODEL_START_TIMEOUT": "soon"}, "is a number of seconds, not 'soon'"),
    ],
)
def test_wrong_variables_are_one_sentence(variables, sentence, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=sentence), processes.joined({}):
        pass


def test_alone_nothing_is_joined(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")  # a notebook in a cluster
    with processes.joined({}):
        import jax

        assert jax.process_count() == 1 and not jax.distributed.is_initialized()

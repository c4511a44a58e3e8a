"""The roll call before JAX starts: who is missing, who runs something else, whose end ends all."""

import socket
import subprocess
import sys
import threading
import time

import pytest

from bigmodel_jax import rollcall
from bigmodel_jax.errors import UserError


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@pytest.fixture
def called(port, monkeypatch):
    """`called(count, {index: statement}, timeout)`: what each process that comes hears, by its index."""
    monkeypatch.setattr(rollcall, "Line", lambda index, peers: sorted(peers))

    def call(count, statements, timeout=10.0):
        heard = {}

        def come(index, statement):
            try:
                heard[index] = rollcall.call(f"localhost:{port}", count, index, statement, timeout)
            except UserError as error:
                heard[index] = str(error)

        threads = [threading.Thread(target=come, args=item) for item in statements.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return heard

    return call


def test_all_go_on_when_all_have_come_and_say_the_same(called):
    heard = called(4, {i: {"config": {"seed": 0}} for i in (2, 0, 3, 1)})
    assert heard == {0: [1, 2, 3], 1: [0], 2: [0], 3: [0]}  # who watches whom


def test_all_who_came_hear_who_is_missing(called):
    heard = called(5, {0: {}, 3: {}}, timeout=0.3)
    assert heard[0] == heard[3]
    assert heard[0].startswith("Processes 1, 2, 4 of 5 have not come within 0.3 s (there: 0 on ")


def test_without_process_0_each_says_where_it_was_expected(called, port):
    heard = called(2, {1: {}}, timeout=0.3)
    assert f"Process 0 has not answered process 1 at localhost:{port} within 0.3 s" in heard[1]


def test_all_hear_who_runs_something_else(called):
    same = {"config": {"seed": 0, "model": {"width": 8}}, "packages": {"jax": "0.10.2"}}
    other = {"config": {"seed": 3, "model": {"width": 8}}, "packages": {"jax": "0.11.0"}}
    heard = called(3, {0: same, 1: same, 2: other})
    assert heard[0] == heard[1] == heard[2]
    assert heard[0].startswith("Not all processes run the same as process 0: process 2 on ")
    assert 'has config.seed: 0 -> 3; packages.jax: "0.10.2" -> "0.11.0".' in heard[0]


def test_a_process_that_was_told_of_another_number_is_named(called, port):
    heard = {}

    def come():
        try:
            rollcall.call(f"localhost:{port}", 3, 1, {}, 10)
        except UserError as error:
            heard[1] = str(error)

    thread = threading.Thread(target=come)
    thread.start()
    heard |= called(2, {0: {}})
    thread.join()
    assert heard[0] == heard[1] and "was told of 3 processes, process 0 of 2" in heard[0]


def test_strangers_at_the_port_are_ignored(called, port):
    def knock():
        while True:
            try:
                with socket.create_connection(("localhost", port)) as peer:
                    return peer.sendall(b"GET / HTTP/1.1\n")
            except ConnectionRefusedError:
                time.sleep(0.01)

    stranger = threading.Thread(target=knock)
    stranger.start()
    member = threading.Timer(0.2, called, (2, {1: {}}))
    member.start()
    assert called(2, {0: {}}) == {0: [1]}
    stranger.join()
    member.join()


def test_lines_that_arrive_together_are_heard_one_by_one():
    ours, theirs = socket.socketpair()
    theirs.sendall(b'{"problem": null}\n{"end": "died", "process": 1}\n')
    theirs.close()
    with ours:
        assert [rollcall._receive(ours) for _ in range(3)] == [
            {"problem": None},
            {"end": "died", "process": 1},
            None,
        ]


MEMBER = """
import os, sys, time
from bigmodel_jax import rollcall
address, index, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rollcall.GRACE = 0.2
line = rollcall.call(address, 3, index, {}, 20)
if mode == "killed": os.kill(os.getpid(), 9)
if mode in ("done", "failed"):
    print(mode, flush=True)
    line.close(failed=mode == "failed")
    sys.exit(mode == "failed")
time.sleep(30)
"""


@pytest.mark.parametrize(
    "modes, codes, sentence",
    [
        (("done", "done", "done"), (0, 0, 0), None),
        (
            ("waits", "killed", "waits"),
            (1, -9, 1),
            "Process 1 was killed, or its machine went down",
        ),
        (
            ("killed", "waits", "waits"),
            (-9, 1, 1),
            "Process 0 was killed, or its machine went down",
        ),
        (("waits", "waits", "failed"), (1, 1, 1), "Process 2 stopped; it says why."),
    ],
)
def test_the_end_of_one_ends_all_at_once(modes, codes, sentence, port):
    begun = time.monotonic()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MEMBER, f"localhost:{port}", str(index), mode],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index, mode in enumerate(modes)
    ]
    outputs = [p.communicate(timeout=25)[0] for p in processes]
    assert tuple(p.returncode for p in processes) == codes, outputs
    assert time.monotonic() - begun < 20
    for mode, output in zip(modes, outputs, strict=True):
        if mode == "waits":
            assert sentence in output
        assert "Traceback" not in output

"""The processes of a run come together before JAX starts, and notice when one of them ends.

JAX's own start-up says neither who is missing nor that two hosts run different code, and it aborts
with a stack trace. So process 0 first calls the roll, on the port that JAX will use a moment later:
each process connects, says who it is and what it runs, and hears one verdict for all. The
connections stay open, so that the end of a process is known at once: the system closes those of a
killed one.
"""

import contextlib
import json
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from bigmodel_jax.errors import UserError

# Seconds that a process has to say itself why it ends, before the others' ending takes it along.
GRACE = 3
PAUSE = 0.1  # between two attempts to reach process 0
SHOWN = 5  # processes, or differences, of an error message


def call(
    address: str, count: int, index: int, statement: Mapping[str, Any], timeout: float
) -> "Line":
    """Returns when all `count` processes have come and state the same.

    Args:
        address: "host:port" of process 0, where JAX's coordination service will be.
        statement: what must be the same everywhere, as nested dicts of JSON.

    Raises:
        UserError: on every process that has come: some have not within `timeout` seconds, or state
            something else, or process 0 cannot be reached.
    """
    host, _, port = address.rpartition(":")
    hello = {"count": count, "process": index, "host": socket.gethostname(), "says": statement}
    if index == 0:
        peers = _gather(int(port), hello, timeout)
    else:
        peers = {0: _attend(host.strip("[]"), int(port), hello, timeout)}
    return Line(index, peers)


class Line:
    """Connections of this process to those that it watches: process 0 to all, the others to it."""

    def __init__(self, index: int, peers: dict[int, socket.socket]):
        self._index, self._peers, self._closed = index, peers, False
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self, failed: bool) -> None:
        """Says farewell. After a failure the others end too, and this process within GRACE seconds:
        JAX's own farewell would wait for them for minutes."""
        self._closed = True
        self._tell({"end": "failed" if failed else "done", "process": self._index})
        if failed:
            timer = threading.Timer(GRACE, os._exit, (1,))
            timer.daemon = True
            timer.start()

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            for index, peer in self._peers.items():
                selector.register(peer, selectors.EVENT_READ, index)
            while selector.get_map():
                for key, _ in selector.select():
                    word = _receive(key.fileobj)
                    if word is not None and word["end"] == "done":
                        selector.unregister(key.fileobj)
                        continue
                    self._end(word or {"end": "died", "process": key.data})
                    return

    def _end(self, word: Mapping[str, Any]) -> None:
        """Ends this process, since another has; its main thread may hang in a collective."""
        if self._closed:
            return
        self._tell(word)
        name = f"Process {word['process']}"
        if word["end"] == "failed":
            time.sleep(GRACE)
            text = f"{name} stopped; it says why."
        else:
            text = (
                f"{name} was killed, or its machine went down: all stop. The same command again "
                "goes on from what was saved."
            )
        sys.stdout.flush()
        print(f"error: {text}", file=sys.stderr, flush=True)
        os._exit(1)

    def _tell(self, word: Mapping[str, Any]) -> None:
        for peer in self._peers.values():
            _send(peer, word)


def _gather(port: int, hello: Mapping, timeout: float) -> dict[int, socket.socket]:
    """Process 0: the connection of every other process, once all are there and alike."""
    deadline, count = time.monotonic() + timeout, hello["count"]
    came: dict[int, tuple[Mapping, socket.socket]] = {}
    problem = None
    with _listener(port) as listener:
        while len(came) < count - 1 and problem is None:
            peer = _accept(listener, deadline)
            if peer is None:
                problem = _missing({0: hello} | {i: said for i, (said, _) in came.items()}, timeout)
                break
            said = _receive(peer)
            if said is None or "process" not in said:  # a stranger, or one that went away
                peer.close()
                continue
            problem = _unfit(said, count, came)
            came[said["process"] if problem is None else -1] = (said, peer)
    problem = problem or _different(hello, [said for said, _ in came.values()])
    for _, peer in came.values():
        _send(peer, {"problem": problem})
    if problem:
        raise UserError(problem)
    return {index: peer for index, (_, peer) in came.items()}


def _attend(host: str, port: int, hello: Mapping, timeout: float) -> socket.socket:
    """The others: the connection to process 0, once it has found all there and alike."""
    deadline = time.monotonic() + timeout
    silence = UserError(
        f"Process 0 has not answered process {hello['process']} at {host}:{port} within {timeout:g} "
        "s: look whether it was started and what it says; BIGMODEL_START_TIMEOUT sets the seconds."
    )
    while True:
        try:
            peer = socket.create_connection(
                (host, port), timeout=max(deadline - time.monotonic(), 1)
            )
            break
        except OSError:  # not started yet, or its name not known yet
            if time.monotonic() > deadline:
                raise silence from None
            time.sleep(PAUSE)
    _keep_alive(peer)
    _send(peer, hello)
    peer.settimeout(timeout + GRACE)  # process 0 may have begun to wait later than this one
    verdict = _receive(peer)
    peer.settimeout(None)
    if verdict is None:
        raise silence
    if verdict["problem"]:
        raise UserError(verdict["problem"])
    return peer


def _unfit(said: Mapping, count: int, came: Mapping) -> str | None:
    index = said["process"]
    if said["count"] != count:
        return (
            f"Process {index} on {said['host']} was told of {said['count']} processes, process 0 of "
            f"{count}: start all of a run by one launcher."
        )
    if index in came or not 0 < index < count:
        return (
            f"A second process, on {said['host']}, says that it is process {index} of {count}: start "
            "each index once."
        )
    return None


def _missing(came: Mapping[int, Mapping], timeout: float) -> str:
    count = came[0]["count"]
    missing = [str(i) for i in range(count) if i not in came]
    there = [f"{i} on {said['host']}" for i, said in sorted(came.items())]
    plural = len(missing) > 1
    return (
        f"Process{'es' * plural} {_some(missing)} of {count} {'have' if plural else 'has'} not come "
        f"within {timeout:g} s (there: {_some(there)}): look whether it was started and what it says; "
        "BIGMODEL_START_TIMEOUT sets the seconds."
    )


def _different(own: Mapping, others: list[Mapping]) -> str | None:
    """How those differ that state something else than process 0."""
    from bigmodel_jax.config import differences

    found = []
    for said in sorted(others, key=lambda said: said["process"]):
        changes = differences(own["says"], said["says"])
        if changes:
            found.append(f"process {said['process']} on {said['host']} has {_some(changes, '; ')}")
    if not found:
        return None
    return f"Not all processes run the same as process 0: {_some(found, ' / ')}."


def _some(words: list[str], comma: str = ", ") -> str:
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return comma.join(words[:SHOWN]) + more


def _listener(port: int) -> socket.socket:
    both = socket.has_dualstack_ipv6()
    try:
        return socket.create_server(
            ("", port),
            family=socket.AF_INET6 if both else socket.AF_INET,
            dualstack_ipv6=both,
            backlog=1024,
        )
    except OSError as error:
        raise UserError(
            f"Process 0 cannot listen on port {port}: {error.strerror}; is another run using it?"
        ) from error


def _accept(listener: socket.socket, deadline: float) -> socket.socket | None:
    listener.settimeout(max(deadline - time.monotonic(), 0.001))
    try:
        peer, _ = listener.accept()
    except TimeoutError:
        return None
    peer.settimeout(GRACE)
    _keep_alive(peer)
    return peer


def _keep_alive(peer: socket.socket) -> None:
    """Notices a machine that is gone without a word, and keeps firewalls from forgetting the line."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # Linux
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _send(peer: socket.socket, word: Mapping[str, Any]) -> None:
    """A line of JSON; to one that is gone already, nothing."""
    with contextlib.suppress(OSError):
        peer.sendall(json.dumps(word, default=str).encode() + b"\n")


def _receive(peer: Any) -> dict | None:
    """The next line; None where there is none in time, the other has gone or speaks otherwise.

    It takes no byte more: two lines may have arrived together (a verdict, and who ended since).
    """
    data = bytearray()
    try:
        while not data.endswith(b"\n"):
            waiting = peer.recv(1 << 16, socket.MSG_PEEK)
            if not waiting:
                return None
            data += peer.recv(waiting.find(b"\n") + 1 or len(waiting))
        word = json.loads(data)
        return word if isinstance(word, dict) else None
    except (OSError, ValueError):
        return None

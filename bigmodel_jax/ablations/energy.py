"""How much energy passes through the counters of this machine: RAPL of the processor, NVML of NVIDIA GPUs.

They are the whole machine's: what else runs on it is counted, too, and memory, disks and fans mostly are
not.
"""

import contextlib
import ctypes
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
NVML = "libnvidia-ml.so.1"
POLL = 30.0  # seconds: a RAPL counter begins anew after a quarter of an hour at the earliest


class Rapl:
    """The counter of a processor's package, in joules since it last began anew."""

    def __init__(self, zone: Path):
        self.name = f"{zone.name} {(zone / 'name').read_text().strip()}"
        self._counter = zone / "energy_uj"
        self.range = int((zone / "max_energy_range_uj").read_text()) / 1e6
        self.read()

    def read(self) -> float:
        return int(self._counter.read_text()) / 1e6


class Nvml:
    """The counter of a GPU, in joules since its driver was loaded."""

    range = 0.0  # it does not begin anew

    def __init__(self, library: Any, index: int):
        self.name, self._library = f"GPU {index}", library
        self._handle = ctypes.c_void_p()
        _check(library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(self._handle)))
        self.read()

    def read(self) -> float:
        found = ctypes.c_ulonglong()
        _check(self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle, ctypes.byref(found)))
        return found.value / 1e3


def counters() -> tuple[list[Any], str]:
    """(those that can be read, why there are no others)."""
    found, why = [], []
    zones = sorted(POWERCAP.glob("*-rapl:?")) if POWERCAP.is_dir() else []
    for zone in zones:
        try:
            found.append(Rapl(zone))
        except (OSError, ValueError) as error:
            why.append(f"{zone / 'energy_uj'} cannot be read ({error})")
    if not zones:
        why.append(f"no RAPL counter under {POWERCAP}")
    try:
        library = ctypes.CDLL(NVML)
        _check(library.nvmlInit_v2())
        count = ctypes.c_uint()
        _check(library.nvmlDeviceGetCount_v2(ctypes.byref(count)))
        found += [Nvml(library, i) for i in range(count.value)]
    except OSError as error:
        why.append(f"no NVML ({error})")
    return found, "; ".join(why)


@contextlib.contextmanager
def metered() -> Iterator[dict[str, Any]]:
    """While it is open, counts; what it gives is filled in at the end.

    {"joules": {counter: joules}}, and where no counter can be read {"why": "..."} instead.
    """
    told: dict[str, Any] = {}
    there, why = counters()
    if not there:
        told["why"] = why
        yield told
        return
    joules = {counter.name: 0.0 for counter in there}
    last = {counter.name: counter.read() for counter in there}

    def add():
        for counter in there:
            with contextlib.suppress(OSError, ValueError):  # no reason to end what is metered
                now = counter.read()
                passed = now - last[counter.name]
                joules[counter.name] += passed + (counter.range if passed < 0 else 0)
                last[counter.name] = now

    ended = threading.Event()

    def poll():
        while not ended.wait(POLL):
            add()

    thread = threading.Thread(target=poll, name="energy", daemon=True)
    thread.start()
    try:
        yield told
    finally:
        ended.set()
        thread.join()
        add()
        told["joules"] = joules


def total(told: Mapping[str, Any]) -> float | None:
    """Joules of all counters; None where there were none."""
    return sum(told["joules"].values()) if "joules" in told else None


def _check(code: int) -> None:
    if code:
        raise OSError(f"NVML says error {code}")

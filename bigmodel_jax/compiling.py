"""What compiling costs: programs kept on the disk for the next run, counted, and none by surprise."""

import contextlib
import hashlib
import importlib.util
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

BYTES = 4 * 2**30  # of the cache; the programs longest unused go first


def keep_programs(data_dir: str) -> None:
    """Keeps compiled programs in `data_dir`, unless JAX_COMPILATION_CACHE_DIR names another folder.

    BIGMODEL_COMPILATION_CACHE=off compiles anew. Machines with other processors have other programs.
    """
    if (
        os.environ.get("BIGMODEL_COMPILATION_CACHE") == "off"
        or jax.config.values["jax_compilation_cache_dir"]
    ):
        return
    folder = Path(data_dir).expanduser() / "bigmodel_jax_cache" / "programs" / _processor()
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if importlib.util.find_spec("filelock"):  # JAX bounds the size by its help alone
        jax.config.update("jax_compilation_cache_max_size", BYTES)


def _processor() -> str:
    """A name for what instructions this machine's processor knows."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else [platform.processor()]
    known = next(
        (x for x in lines if x.startswith(("flags", "Features"))), lines[0] if lines else ""
    )
    return f"{platform.machine()}-{hashlib.sha256(known.encode()).hexdigest()[:8]}"


class Compilations:
    """Counts what is compiled while it is open.

    Attributes:
        programs, hits: compiled or read from the cache; read from the cache.
        seconds: that they took.
    """

    def __init__(self):
        self.programs, self.hits, self.seconds = 0, 0, 0.0

    @contextlib.contextmanager
    def counted(self) -> Iterator["Compilations"]:
        jax.monitoring.register_event_duration_secs_listener(self._took)
        jax.monitoring.register_event_listener(self._happened)
        try:
            yield self
        finally:
            jax.monitoring.unregister_event_duration_listener(self._took)
            jax.monitoring.unregister_event_listener(self._happened)

    def _took(self, event: str, duration_secs: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            self.programs, self.seconds = self.programs + 1, self.seconds + duration_secs

    def _happened(self, event: str, **_: Any) -> None:
        self.hits += event == "/jax/compilation_cache/cache_hits"


class Shapes:
    """Says once for each new shape of a batch that the step is compiled for, beyond those expected.

    Args:
        expected: shapes that the source has by plan, its buckets.
        say: tells the user.
    """

    def __init__(self, expected: int, say: Callable[[str], None]):
        self._expected, self._say = expected, say
        self._seen: dict[tuple, int] = {}

    def look(self, step: int, batch: Any) -> None:
        """Takes in the batch of a step; cheap, for it is called before each."""
        leaves = batch.items() if isinstance(batch, Mapping) else enumerate(jax.tree.leaves(batch))
        shapes = tuple((name, getattr(x, "shape", ())) for name, x in leaves)
        if shapes in self._seen:
            return
        known = list(self._seen)
        self._seen[shapes] = step
        if len(self._seen) <= max(self._expected, 1):
            return
        changed = sorted(set(shapes) - set(known[-1]), key=str)
        words = ", ".join(f"{name} {list(shape)}" for name, shape in changed[:3])
        self._say(
            f"NOTE: step {step} is compiled anew, for its batch has shapes that none had before: {words}. "
            f"The source promised {self._expected} and has had {len(self._seen)}."
        )

"""The laws by name, in the order in which they are checked, and what becomes of each."""

import contextlib
import importlib
import io
import math
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bigmodel_jax.errors import UserError
from bigmodel_jax.verifying import child
from bigmodel_jax.verifying.finding import DoesNotApply, Finding
from bigmodel_jax.verifying.subject import Subject

# Each is a module of this package; its docstring's first line says what it claims.
LAWS = (
    "repeated", "stopped", "killed", "restored", "resident", "dispatches", "evaluated", "shares",
    "devices", "processes", "accumulated", "remat", "scan",
)  # fmt: skip


class Verdict(NamedTuple):
    """A row of the table; without a finding `words` says why not."""

    law: str
    word: str  # "holds", "FAILS", "does not apply"
    finding: Finding | None
    words: str
    seconds: float

    @property
    def fine(self) -> bool:
        return self.word != "FAILS"

    def as_json(self) -> dict[str, Any]:
        """What JSON can hold: an infinite difference is a string."""
        finding: dict[str, Any] = {"compared": self.words}
        if self.finding:
            difference = self.finding.difference
            shown = difference if math.isfinite(difference) else str(difference)
            finding = {**self.finding._asdict(), "difference": shown}
        rest = {"law": self.law, "verdict": self.word, "seconds": round(self.seconds, 2)}
        return {**rest, **finding}


def module(law: str) -> Any:
    return importlib.import_module(f"bigmodel_jax.verifying.{law}")


def verify(subject: Subject, laws: Sequence[str] = LAWS) -> Iterator[Verdict]:
    """The verdicts, one after another; what runs say is kept from the console."""
    for law in laws:
        began, finding = time.monotonic(), None
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                finding = _check(subject, law)
            word = "holds" if finding.holds else "FAILS"
            words = finding.compared
            words += f" (most at {finding.where})" if finding.where and not finding.holds else ""
        except DoesNotApply as reason:
            word, words = "does not apply", str(reason)
        except UserError as error:
            word, words = "FAILS", f"it could not be checked: {error}"
        except Exception:
            traceback.print_exc()
            word, words = "FAILS", "it could not be checked: see the error above"
        yield Verdict(law, word, finding, words, time.monotonic() - began)


def _check(subject: Subject, law: str) -> Finding:
    """Where devices are lacking, or are none that two processes can have, those of a child are pretended."""
    import jax

    pretended = {"devices": len(jax.devices()) == 1, "processes": jax.default_backend() != "cpu"}
    if pretended.get(law):
        return child.check(subject, law)
    return module(law).check(subject)


COLUMNS = f"{'law':12} {'verdict':14} {'difference':>10} {'tolerance':>9} {'seconds':>7}  compared"


def line(verdict: Verdict) -> str:
    """A verdict under COLUMNS."""
    figures = f"{'':10} {'':9}"
    if found := verdict.finding:
        figures = f"{found.difference:10.2g} {found.tolerance:9.2g}"
    head = f"{verdict.law:12} {verdict.word:14} {figures} {verdict.seconds:7.1f}"
    return f"{head}  {verdict.words}"

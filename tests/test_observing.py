"""What a run says of itself while it goes: surprises when they happen, costs at its end."""

import datetime
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.compiling import Compilations, Shapes, keep_programs
from bigmodel_jax.errors import UserError
from bigmodel_jax.observing import Observer
from bigmodel_jax.pace import Pace
from bigmodel_jax.planning import hardware
from bigmodel_jax.profiling import Profile
from bigmodel_jax.watchdog import Watchdog


@pytest.fixture
def said():
    return []


def test_a_shape_beyond_those_promised_is_named_once(said):
    shapes = Shapes(2, said.append)
    for step, length in enumerate((16, 32, 16, 57, 57, 32), 1):
        shapes.look(step, {"tokens": np.zeros((4, length)), "valid": np.zeros(4)})
    (only,) = said
    assert "step 4 is compiled anew" in only and "tokens [4, 57]" in only and "valid" not in only


def test_compilations_are_counted_while_it_is_open():
    double = jax.jit(lambda x: x * 2.5 + 0.125)
    with Compilations().counted() as counted:
        double(jnp.ones(3)), double(jnp.ones(3))
        once = counted.programs
        double(jnp.ones(4))
    double(jnp.ones(5))
    assert once >= 1 and counted.programs > once and counted.hits <= counted.programs


def test_programs_are_kept_where_the_user_says(tmp_path, monkeypatch):
    before = jax.config.values["jax_compilation_cache_dir"]
    assert before  # of the tests
    keep_programs(str(tmp_path))
    assert jax.config.values["jax_compilation_cache_dir"] == before
    monkeypatch.setenv("BIGMODEL_COMPILATION_CACHE", "off")
    keep_programs(str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_slow_input_is_said_when_it_lasts(said, tmp_path):
    observer = Observer(said.append, 1, "", tmp_path, 0)
    for wait in (0.9, 0.9, 0.1, 0.9, 0.9):
        observer.logged({"train/input_wait": wait})
    assert not said
    observer.logged({"train/input_wait": 0.43})
    assert "wait for input 43%" in said[0]


def test_a_discriminator_that_has_won_is_said_once(said, tmp_path):
    observer = Observer(said.append, 1, "", tmp_path, 0)
    for accuracy in (0.999, 0.98, 0.999, 1.0, 1.0, 1.0):
        observer.logged({"train/input_wait": 0.0, "train/discriminator/accuracy": accuracy})
    assert len(said) == 1 and "tells real from painted 100.0% of the time" in said[0]


def test_at_the_end_it_says_which_share_of_the_time_made_progress(said, tmp_path):
    observer = Observer(said.append, 1, "", tmp_path, 0)
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=100)
    observer.ended(60.0, began.isoformat(timespec="seconds"))
    assert re.search(r"Goodput (59|60)%: 60 of 10\d s", said[0])


def test_a_step_that_does_not_end_shows_where_all_threads_are(capfd):
    class Ended:  # looks three times, without waiting
        turns = iter([False, False, True])

        def wait(self, seconds):
            return next(self.turns)

    watchdog = Watchdog(1.0)
    watchdog.done, watchdog._ended = 7, Ended()
    watchdog._watch()
    said = capfd.readouterr().err
    assert said.count("step 7 was the last to end, more than 1 minutes ago") == 1
    assert "test_observing.py" in said


def test_a_trace_of_the_chosen_steps_is_written_and_no_other(tmp_path):
    profile = Profile("2:4", tmp_path / "profile")
    texts = []
    with profile.open():
        for done in range(6):
            texts.append(profile.at(done, ()))
            assert (tmp_path / "profile").exists() == (done >= 4) or done in (2, 3)
    assert [bool(text) for text in texts] == [False] * 4 + [True, False]
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


@pytest.mark.parametrize("steps", ["5", "5:5", "9:2", "a:b"])
def test_a_range_of_steps_that_is_none_is_refused(steps, tmp_path):
    with pytest.raises(UserError, match="no range of steps"):
        Profile(steps, tmp_path)


def test_the_pace_counts_tokens_and_the_share_of_the_peak():
    pace = Pace(0, batch_size=8, tokens=8 * 16, flops=0.25, trained=100.0)
    found = pace.lap(10, 0.0)
    rate = found["steps_per_second"]
    assert found["examples_per_second"] == pytest.approx(8 * rate)
    assert found["tokens_per_second"] == pytest.approx(128 * rate)
    assert found["mfu"] == pytest.approx(0.25 * rate)
    assert 100.0 < pace.trained < 200.0


@pytest.mark.parametrize(
    "kind, chip",
    [
        ("TPU v5 lite", "v5e"),
        ("TPU v5", "v5p"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
    ],
)
def test_devices_are_known_by_the_names_that_jax_has_for_them(kind, chip):
    assert hardware.peak(kind) == hardware.CHIPS[chip].flops
    assert hardware.peak("cpu") == 0.0

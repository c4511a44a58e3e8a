"""Checkpoints are whole or refused; the newest and the best are kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import checkpoint
from bigmodel_jax.checkpoint import Checkpointer, all_steps, verify
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError
from bigmodel_jax.steps import TrainState

CLOCK = Clock(steps_per_epoch=10, batch_size=4, total=100)


def make_state(value=1.0):
    noise = jax.random.normal(jax.random.key(0), (300, 40))  # or zstd leaves nothing to damage
    variables = {"params": {"w": noise.at[0, 0].set(value), "b": jnp.arange(3.0)}}
    slots = {"train": {"count": jnp.int32(3), "key": jax.random.key(1)}}
    return TrainState(jnp.int32(5), variables, slots)


def keeper(folder, **options):
    return Checkpointer(folder / "checkpoints", CLOCK, **{"every": "1 steps", **options})


def abstract(state):
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
    )


def test_what_was_saved_comes_back_bit_for_bit(tmp_path):
    state, host = make_state(), {"best_step": None, "pending": {"loss": [0.1, 3.0]}}
    with keeper(tmp_path) as k:
        k.save(5, state, host)
        restored, found, _ = k.restore(k.find(), abstract(state))
    assert found == host
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(restored), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        assert a.dtype == b.dtype and np.array_equal(a, b)


def test_the_newest_and_the_best_are_kept(tmp_path):
    with keeper(tmp_path, keep=2) as k:
        for step in range(1, 7):
            k.save(step, make_state(), {"best_step": 2 if step > 1 else 1})
        k.wait()
        assert sorted(all_steps(k.folder)) == [2, 5, 6]


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "manifest"])
def test_a_damaged_checkpoint_is_named_and_refused(tmp_path, damage):
    with keeper(tmp_path, keep=2) as k:
        k.save(1, make_state(1.0), {})
        k.save(2, make_state(2.0), {})
        k.wait()
        folder = k.folder / "2"
        largest = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        if damage == "flip":
            data = bytearray(largest.read_bytes())
            data[len(data) // 2] ^= 1
            largest.write_bytes(data)
        elif damage == "truncate":
            largest.write_bytes(largest.read_bytes()[:-1])
        elif damage == "delete":
            largest.unlink()
        else:
            (folder / "manifest.json").unlink()
        name = "manifest.json" if damage == "manifest" else largest.name
        with pytest.raises(UserError, match=f"(?s)checkpoints/2 is damaged.*{name}.*fallback=true"):
            k.find()
    with keeper(tmp_path, keep=2, fallback=True) as k:
        assert k.find() == 1  # and says so
        restored, _, _ = k.restore(1, abstract(make_state()))
        assert float(restored.params["w"][0, 0]) == 1.0


def test_no_whole_checkpoint_at_all_is_no_silent_fresh_start(tmp_path):
    with keeper(tmp_path) as k:
        k.save(1, make_state(), {})
        k.wait()
        (k.folder / "1" / "manifest.json").unlink()
    with keeper(tmp_path, fallback=True) as k, pytest.raises(UserError, match="whole"):
        k.find()


def test_what_a_killed_run_left_unfinished_is_removed(tmp_path):
    with keeper(tmp_path) as k:
        k.save(1, make_state(), {})
    (tmp_path / "checkpoints" / "2.unfinished").mkdir()
    with keeper(tmp_path) as k:
        assert k.find() == 1 and [p.name for p in k.folder.iterdir()] == ["1"]


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path, monkeypatch):
    with keeper(tmp_path) as k:
        k.save(1, make_state(), {})
        k.wait()

        def full(*args, **kwargs):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(checkpoint, "_sync", full)
        k.save(2, make_state(), {})
        with pytest.raises(
            UserError, match="step 2 could not be written.*No space left.*step 1 is"
        ):
            k.wait()
        monkeypatch.undo()
        assert all_steps(k.folder) == [1] and verify(k.folder / "1") is None


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    with keeper(tmp_path) as k:
        k.save(1, make_state(), {})
        other = abstract(make_state())
        other.variables["params"]["w"] = jax.ShapeDtypeStruct((7, 40), jnp.float32)
        with pytest.raises(UserError, match="not of this model"):
            k.restore(k.find(), other)


def test_time_or_steps_decide_when_one_is_due(tmp_path):
    with keeper(tmp_path, every="0.5 epochs") as k:
        assert [s for s in range(1, 21) if k.due(s, True)] == [5, 10, 15, 20]
    with keeper(tmp_path, every="10 minutes") as k:
        assert not k.due(10, True)
        k._saved_at -= 601
        assert k.due(10, True) and not k.due(10, False)

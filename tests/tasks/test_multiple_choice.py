"""Multiple choice: scores of the choices that there are, one by one."""

import jax
import numpy as np
import pytest

from bigmodel_jax import losses, sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.models import bert, gpt
from bigmodel_jax.tasks.multiple_choice import Task

FIELDS = {"head": "classify", "num_classes": 1}
MODELS = {
    "bert": bert.Model(30, **FIELDS, **bert.VARIANTS["tiny"]),
    "gpt": gpt.Model(30, **FIELDS, **gpt.VARIANTS["tiny"]),
}


def make_batch():
    """An example of three choices, one of two, a row of padding."""
    rng = np.random.default_rng(0)
    kept = np.array([[9, 4, 7], [5, 8, 0], [0, 0, 0]])
    mask = np.arange(10) < kept[..., None]
    return {
        "tokens": (rng.integers(1, 30, mask.shape) * mask).astype(np.int32),
        "mask": mask,
        "types": ((np.arange(10) >= 3) & mask).astype(np.int32),
        "real": kept > 0,
        "label": np.array([2, 0, 0], np.int32),
        "valid": np.array([True, True, False]),
    }


@pytest.mark.parametrize("name", ["gpt", pytest.param("bert", marks=pytest.mark.slow)])
def test_an_examples_choices_are_scored_apart_and_compared(name):
    task, batch = Task(MODELS[name]), make_batch()
    variables = sharding.unbox(task.init(jax.random.key(0), batch))
    value, aux = task.loss(variables, batch, jax.random.key(1), train=False)
    found, total, right = task.predict(variables, batch), 0.0, 0
    for row, count in enumerate((3, 2)):
        scores = []
        for i in range(count):
            length = int(batch["mask"][row, i].sum())
            alone = {
                key: batch[key][row, i : i + 1, :length] for key in ("tokens", "mask", "types")
            }
            options = {"types": alone["types"]} if name == "bert" else {}
            logits = task.model.apply(variables, alone["tokens"], alone["mask"], **options)
            scores.append(np.asarray(logits)[0, 0])
        np.testing.assert_allclose(found["logits"][row, :count], scores, rtol=1e-4, atol=1e-5)
        expected = np.asarray(jax.nn.softmax(np.array(scores)))
        np.testing.assert_allclose(found["probabilities"][row, :count], expected, rtol=1e-4)
        assert (np.asarray(found["probabilities"])[row, count:] == 0).all()
        label = batch["label"][row]
        total += float(losses.softmax_cross_entropy(np.array(scores), label))
        right += np.argmax(scores) == label
    assert float(value.total) == pytest.approx(total, rel=1e-4) and float(value.weight) == 2
    assert float(aux.metrics["accuracy"].total) == right


def test_what_a_user_can_get_wrong_is_said():
    with pytest.raises(UserError, match="num_classes is 4, but a choice has one score"):
        Task(bert.Model(30, head="classify", num_classes=4, **bert.VARIANTS["tiny"]))
    with pytest.raises(UserError, match="the data's target is 'class'"):
        Task(MODELS["bert"]).check(type("Source", (), {"target": "class"}))

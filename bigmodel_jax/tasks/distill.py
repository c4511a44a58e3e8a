"""Knowledge distillation: a task around the task of classes, which also learns what a teacher says.

    task=dict(name="distill", task=dict(name="classify"), teacher="runs/big", weight=0.9, temperature=4.0)

Hinton et al. 2015: the loss is (1 - weight) times the task's own, plus weight * temperature^2 times the
divergence of the student's softened answers from the teacher's, on the same transformed batch.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import checkpoint, config, rundir, steps, trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import Mean, mean
from bigmodel_jax.steps import Aux, Variables
from bigmodel_jax.tasks import base


class Task:
    """The inner task, with a teacher's variables in the collection "teacher", which never change.

    They are read once, when a run starts afresh, and are in its checkpoints: a resumed run needs no
    teacher.

    Args:
        task: the spec of the inner task, whose methods and attributes this one has, too.
        teacher: the directory of a run that has learnt the same classes from the same kind of data.
        teacher_model, teacher_task: its specs (see inheritance.py).
        weight: of what the teacher says, 0 to 1.
        temperature: by which both logits are divided.

    Raises:
        UserError: the teacher tells other classes apart; the inner task is of no classes.
    """

    own = ("teacher",)

    def __init__(
        self,
        model: Any,
        task: Mapping,
        teacher: str,
        teacher_model: Mapping,
        teacher_task: Mapping,
        weight: float = 0.5,
        temperature: float = 2.0,
    ):
        self.task = config.build("tasks", task, model=model)
        if not hasattr(self.task, "loss_of"):
            raise UserError(f"distill is around a task of classes, not around {task['name']!r}.")
        if not 0 <= weight <= 1 or temperature <= 0:
            raise UserError(
                f"config.task.weight lies in 0 to 1, and temperature above 0, but they are {weight} and "
                f"{temperature}."
            )
        taught = config.build("models", teacher_model)
        if taught.num_classes != model.num_classes:
            raise UserError(
                f"The teacher {teacher} tells {taught.num_classes} classes apart, and this model "
                f"{model.num_classes}."
            )
        self._teacher, self._path = config.build("tasks", teacher_task, model=taught), teacher
        self._weight, self._temperature = weight, temperature

    def __getattr__(self, name: str) -> Any:
        """What only the inner task has."""
        if name == "task" or name.startswith("__"):  # before __init__ is through, as in a copy
            raise AttributeError(name)
        return getattr(self.task, name)

    def init(self, rng, batch) -> Variables:
        return {**self.task.init(rng, batch), "teacher": dict(self._teacher.init(rng, batch))}

    def fit(self, variables: Variables, batches: Iterable) -> Variables:
        """`variables` with the teacher's own, or the average of them that it was evaluated with.

        Raises:
            UserError: its checkpoint is damaged, or not of its config.
        """
        found = rundir.chosen_checkpoint(self._path)
        if damage := checkpoint.verify(found):
            raise UserError(f"config.task.teacher: the checkpoint {found} is damaged: {damage}.")
        saved, part, paths = checkpoint.saved_variables(found), {}, {}
        averages = {of: name for name, of in steps.AVERAGED.items()}
        for path, x in trees.flatten(variables["teacher"]).items():
            kind, _, rest = path.partition("/")
            average = f"{averages.get(kind)}/{rest}"
            paths[path] = average if average in saved else path
            if paths[path] not in saved or saved[paths[path]].shape != x.shape:
                raise UserError(f"config.task.teacher: {found} has no {path} of shape {x.shape}.")
            part[paths[path]] = jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)
        read = checkpoint.restore_part(found, part)
        teacher = trees.unflatten({path: read[name] for path, name in paths.items()})
        inner = getattr(self.task, "fit", lambda v, _: v)
        return {**inner(variables, batches), "teacher": teacher}

    step = base.Task.step  # on this task's loss, not on the inner one's

    def loss(self, variables, batch, rng, *, train) -> tuple[Mean, Aux]:
        if not train:  # what is evaluated is the student alone
            return self.task.loss(variables, batch, rng, train=False)
        given = {k: v for k, v in variables.items() if k != "teacher"}
        logits, updates = self.task.apply(given, batch, rng, train=True)
        value, aux = self.task.loss_of(logits, updates, given, batch, train=True)
        said = jax.lax.stop_gradient(self._teacher.logits(variables["teacher"], batch))
        taught = mean(self._divergence(logits, said), batch["valid"])
        # The inner task may weigh examples; the teacher's mean counts as much as its own.
        share = value.weight / jnp.maximum(taught.weight, 1)
        total = (1 - self._weight) * value.total + self._weight * taught.total * share
        return Mean(total, value.weight), Aux({**aux.metrics, "divergence": taught}, aux.updates)

    def _divergence(self, logits, said):
        """temperature^2 * KL(teacher || student) of each example, in nats."""
        student = jax.nn.log_softmax(logits.astype(jnp.float32) / self._temperature)
        teacher = jax.nn.log_softmax(said.astype(jnp.float32) / self._temperature)
        return self._temperature**2 * (jnp.exp(teacher) * (teacher - student)).sum(-1)

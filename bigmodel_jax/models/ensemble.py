"""Several models of the same batch, trained side by side; their predictions are averaged.

Models that err differently correct each other: a bag of n-grams knows the phrases, a network over
the sequence their order. Each member has its own loss, so none leans on another.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from bigmodel_jax import config
from bigmodel_jax.errors import UserError


class Model(nn.Module):
    """A logit for each member, example and class; tasks/classify.py averages what they predict.

    Attributes:
        members: models by a name of the config's choice, which begins the paths of its parameters,
            e.g. dict(words=dict(name="bag", n=2), order=dict(name="lstm", width=128)).
    """

    vocabulary_size: int = None  # pyright: ignore - filled from the data
    num_classes: int = None  # pyright: ignore
    members: Mapping[str, Any] = None  # pyright: ignore

    @property
    def naive_bayes(self) -> bool:
        """Whether a member needs tasks/nb_classify.py."""
        return bool(self._with_naive_bayes())

    def features(self, tokens: jax.Array, mask: jax.Array):
        """Those of the member with naive-Bayes features; see models/bag.py."""
        return self._with_naive_bayes()[0].features(tokens, mask)

    @nn.compact
    def __call__(
        self,
        tokens: jax.Array,
        mask: jax.Array,
        *,
        train: bool = False,
        presence: jax.Array | None = None,
    ) -> jax.Array:
        """Logits `[members, batch, num_classes]` float32 of tokens `[batch, length]`."""
        parts = self._parts()
        return jnp.stack([part(tokens, mask, train=train, presence=presence) for part in parts])

    def _with_naive_bayes(self) -> list[Any]:
        found = [p for p in self._parts(parent=None) if getattr(p, "naive_bayes", False)]
        if len(found) > 1:
            names = ", ".join(part.name for part in found)
            raise UserError(
                f"config.model.members: {names} have naive_bayes=True; one may have it."
            )
        return found

    def _parts(self, **where) -> list[Any]:
        """The members, within this module or, with parent=None, on their own."""
        if not self.members:
            raise UserError(
                "config.model: an ensemble needs members, dict(NAME=dict(name=...), ...)."
            )
        for name, spec in self.members.items():
            if not (isinstance(spec, Mapping) and "name" in spec):
                raise UserError(f"config.model.members.{name} has no model: dict(name=..., ...).")
        info = {"vocabulary_size": self.vocabulary_size, "num_classes": self.num_classes}
        filled = {name: config.fill(spec, info) for name, spec in self.members.items()}
        build = config.build
        return [build("models", spec, **{"name": name, **where}) for name, spec in filled.items()]

"""Images that have a class, labels or a number: the probabilities of them, and why."""

import contextlib
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bigmodel_jax import apply, experiment, sharding
from bigmodel_jax.applied import Explaining, Text, explained
from bigmodel_jax.applied.printing import Show
from bigmodel_jax.data import encoding, pixels
from bigmodel_jax.data.images import Source
from bigmodel_jax.errors import UserError
from bigmodel_jax.explanations import answers, maps
from bigmodel_jax.explanations.answers import Answer, Meaning
from bigmodel_jax.explanations.gradients import attribute, make_scores, make_slopes
from bigmodel_jax.explanations.neighbours import embed
from bigmodel_jax.explanations.occlusion import of_patches
from bigmodel_jax.explanations.picture_page import PicturePage
from bigmodel_jax.explanations.pictures import PictureExplanation
from bigmodel_jax.layers import unstack_layers


class Answers(explained.Answers):
    """A run on labelled images; what it is asked are paths of image files."""

    data = ("images",)
    reads = "images"
    page = PicturePage

    def __init__(self, *loaded):
        super().__init__(*loaded)
        if not hasattr(self.task, "predict"):
            raise UserError(
                f"{self.assets.parent} is a run of the task {self.config['task']['name']!r}, which "
                "says nothing of images."
            )
        self.label_names = encoding.load_labels(self.assets)
        self._everywhere = jax.sharding.NamedSharding(self.mesh, jax.P())
        self._predict = jax.jit(self.task.predict, out_shardings=self._everywhere)

    @property
    def meaning(self) -> Meaning:
        return Meaning(getattr(self.task, "target", "class"), self.label_names)

    def texts(self, given: Iterable[Text], tabs: bool) -> Iterator[Text]:
        """The paths, each of a file that is there."""
        for path in given:
            if not isinstance(path, str) or not Path(path).expanduser().is_file():
                raise UserError(f"There is no image file {path}.")
            yield path

    def answers(self, texts: Sequence[Text], batch_size: int = 0) -> list[Answer]:
        """What the run says of each image."""
        outputs = self._predict(self.variables, self._batch(texts, batch_size))
        values = outputs["values" if self.meaning.target == "number" else "probabilities"]
        found = np.asarray(values)[: len(texts)]
        return [Answer(path, value, False) for path, value in zip(texts, found, strict=True)]

    def embed(self, texts: Sequence[Text]) -> np.ndarray:
        return np.asarray(self._embed(self.variables, self._batch(texts)))[: len(texts)]

    def _batch(self, texts: Sequence[Text], batch_size: int = 0) -> Any:
        rows = -(-max(batch_size, len(texts)) // self.rows) * self.rows
        images = Source.example(self.config["data"], rows)["image"]
        for i, path in enumerate(texts):
            images[i] = self._read(path)
        return sharding.put({"image": images}, self.mesh)

    @functools.cached_property
    def _embed(self):
        return jax.jit(functools.partial(embed, self.task), out_shardings=self._everywhere)

    def as_json(self, answer: Answer) -> dict[str, Any]:
        line = super().as_json(answer)
        return {"image": line.pop("text"), **line}

    def table(self) -> Show:
        return answers.table(self.meaning, "image")

    def in_full(self) -> Show:
        """A row each: what is explained is on the page."""
        return self.table()

    @contextlib.contextmanager
    def shown(self, form: str, explaining: Explaining | None) -> Iterator[Show]:
        if explaining and not explaining.page:
            raise UserError(
                "Of an image the explanation is a page of pictures: say where it goes, "
                "--explain_html=why.html."
            )
        with super().shown(form, explaining) as show:
            yield show

    def explain(self, text: Text, label: int = 0, occlusion: bool = False) -> PictureExplanation:
        """Why the image says a label: what each pixel adds to its log-odds, and the model's maps.

        With `occlusion` also what it loses without a patch. Computed in float32, whatever the run computed in: differences are small against rounding.
        """
        image, name = self._read(text), self.label_names[label]
        slopes, scores, looks, variables = self._explaining
        rows = -(-apply.POINTS_AT_ONCE // self.rows) * self.rows
        batch = sharding.put({"image": np.repeat(image[None], rows, 0)}, self.mesh)

        def at(alphas):
            alphas = sharding.put(alphas, self.mesh)
            return slopes(variables, batch, alphas, np.int32(label))

        def without(presence):
            presence = sharding.put(presence, self.mesh)
            return scores(variables, batch, presence, np.int32(label))

        found = looks(variables, batch, np.int32(label))
        height, width, _ = image.shape
        return PictureExplanation(
            name=name,
            what=name if self.meaning.target == "number" else f"log-odds of {name}",
            image=image,
            attribution=attribute(at, rows),
            occlusion=of_patches(without, height, width, rows) if occlusion else None,
            **{key: np.asarray(x)[0] for key, x in found.items()},
        )

    @functools.cached_property
    def _explaining(self):
        """(slopes, scores, the model's maps, variables), of a model that is not scanned, in float32."""
        spec, variables = apply.in_float32(self.config["model"]), self.variables
        if spec.get("scan"):
            spec = {**spec, "scan": False}
            variables = {**variables, "params": unstack_layers(variables["params"])}
        task = experiment.make_task({**self.config, "model": spec})
        task = task.task if hasattr(task, "merge") else task

        def looks(variables, batch, label):
            found = {}
            if hasattr(task.model, "feature_map"):
                found["grad_cam"] = maps.make_grad_cam(task)(variables, batch, label)
            if hasattr(task.model, "attention_weights"):
                found["rollout"] = maps.make_rollout(task)(variables, batch)
            return found

        slopes, scores, looks = (
            jax.jit(f, out_shardings=self._everywhere)
            for f in (make_slopes(task), make_scores(task), looks)
        )
        return slopes, scores, looks, variables

    def _read(self, path: Any) -> np.ndarray:
        """The pixels of a file, as an evaluation would see them."""
        data, path = self.config["data"], Path(path).expanduser()
        try:
            image = pixels.decode(path.read_bytes(), data.get("channels", 3))
        except (pixels.Unreadable, OSError) as error:
            raise UserError(f"{path} cannot be read as an image ({error}).") from error
        return pixels.to_array(pixels.fit(image, data["image_size"], data.get("crop", 1.0)))

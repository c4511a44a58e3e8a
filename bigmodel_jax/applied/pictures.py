"""Images that have a class, labels or a number: the probabilities of them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.applied import Text, base
from bigmodel_jax.applied.printing import Show
from bigmodel_jax.data import encoding, pixels
from bigmodel_jax.data.images import Source
from bigmodel_jax.errors import UserError
from bigmodel_jax.explanations import answers
from bigmodel_jax.explanations.answers import Answer, Meaning


class Answers(base.Answers):
    """A run on labelled images; what it is asked are paths of image files."""

    data = ("images",)
    reads = "images"

    def __init__(self, *loaded):
        super().__init__(*loaded)
        names = encoding.load_labels(self.assets)
        self.meaning = Meaning(getattr(self.task, "target", "class"), names)
        everywhere = jax.sharding.NamedSharding(self.mesh, jax.P())
        self._predict = jax.jit(self.task.predict, out_shardings=everywhere)

    def texts(self, given: Iterable[Text], tabs: bool) -> Iterator[Text]:
        """The paths, each of a file that is there."""
        for path in given:
            if not isinstance(path, str) or not Path(path).expanduser().is_file():
                raise UserError(f"There is no image file {path}.")
            yield path

    def answers(self, texts: Sequence[Text], batch_size: int = 0) -> list[Answer]:
        """What the run says of each image."""
        rows = -(-max(batch_size, len(texts)) // self.rows) * self.rows
        images = Source.example(self.config["data"], rows)["image"]
        for i, path in enumerate(texts):
            images[i] = self._read(Path(str(path)).expanduser())
        outputs = self._predict(self.variables, sharding.put({"image": images}, self.mesh))
        values = outputs["values" if self.meaning.target == "number" else "probabilities"]
        found = np.asarray(values)[: len(texts)]
        return [Answer(path, value, False) for path, value in zip(texts, found, strict=True)]

    def as_json(self, answer: Answer) -> dict[str, Any]:
        line = answers.as_json(answer, self.meaning)
        return {"image": line.pop("text"), **line}

    def table(self) -> Show:
        return answers.table(self.meaning)

    def _read(self, path: Path) -> np.ndarray:
        """The pixels of a file, as an evaluation would see them."""
        data = self.config["data"]
        try:
            image = pixels.decode(path.read_bytes(), data.get("channels", 3))
        except (pixels.Unreadable, OSError) as error:
            raise UserError(f"{path} cannot be read as an image ({error}).") from error
        return pixels.to_array(pixels.fit(image, data["image_size"], data.get("crop", 1.0)))

"""Evaluates generated images by a classifier of our own that was trained on real ones.

The features are the classifier's last map, averaged over its places. So the distance is no FID, whose
features are those of an Inception network of ImageNet, and can be compared only among runs that name the
same classifier.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from bigmodel_jax import grids
from bigmodel_jax.errors import UserError
from bigmodel_jax.evals.generated_metrics import frechet_distance, nearest, precision_and_recall
from bigmodel_jax.evals.judge import Judge
from bigmodel_jax.evals.probe import Features
from bigmodel_jax.generation.painting import Painter

SHOWN = 10  # samples whose neighbours are shown
NEIGHBOURS = 3  # of each
COMPARED = 200  # images whose neighbours are looked for
AT_MOST = 5000  # features of each kind that precision and recall compare
PRESENT = 0.1  # of its fair share of the samples: from then on a class is there


class Evaluator(Features):
    """Of a task that paints; `details` hold "picture_neighbours", samples above what is nearest to them.

    frechet_classifier  Frechet distance of the features of the samples from those of the split;
                        frechet_real is that of as many training images
    precision, recall   Kynkaanniemi's, of the same features
    accuracy            of a model of classes: how many samples the classifier takes for what was asked for
    classes             how many are there, by the classifier
    distance            from a sample to the nearest training image, the median of the root mean square over
                        pixels of 0 to 1; distance_real is that of the split's images, and samples much
                        closer than these are copies

    Args:
        classifier: the directory of a run of task classify on the same data.
        n: samples that are drawn, of all classes in turn.
        train_split: where the nearest images are looked for.
        seed: of what is drawn.
        split, task, open_source, mesh, batch_size: as of Pass; the split is what samples should be like.
    """

    def __init__(
        self,
        *,
        split: str,
        task: Any,
        open_source: Callable,
        mesh: jax.sharding.Mesh,
        classifier: str,
        n: int = 10_000,
        train_split: str = "train",
        seed: int = 0,
        batch_size: int = 256,
    ):
        if n < 2:
            raise UserError(
                f"config.evals has an evaluator of n={n} samples: two have a covariance."
            )
        self._painter, self._conditional = Painter(task, mesh), task.conditional
        self._judge = Judge(classifier, task.model)
        given: dict[str, Any] = {"split": split, "task": self._judge, "open_source": open_source}
        super().__init__(**given, mesh=mesh, batch_size=batch_size)
        self._n, self._seed, self._train_split = n, seed, train_split

    def run(self, variables: Mapping) -> dict[str, float]:
        """Numbers by name, see the class."""
        classes = self._judge.classes
        asked = np.arange(self._n, dtype=np.int32) % classes
        images = self._painter.sample(variables, asked, self._seed)
        real = self.collected(self._judge.variables)[0][:, :-classes]
        found = self._look(images)
        features, said = found[:, :-classes], found[:, -classes:].argmax(-1)
        counts = np.bincount(said, minlength=classes)
        numbers = {"frechet_classifier": frechet_distance(real, features)}
        pair = precision_and_recall(real[:AT_MOST], features[:AT_MOST], NEIGHBOURS)
        numbers |= dict(zip(("precision", "recall"), pair, strict=True))
        if self._conditional:
            numbers["accuracy"] = float((said == asked).mean())
        numbers["classes"] = float((counts >= PRESENT * self._n / classes).sum())
        self.details = {"examples": self._n, "counts": counts.tolist()}
        train = self._open(split=self._train_split, batch_size=self._batch_size)
        known = train.images(np.arange(train.examples))
        known_features = self._look(known[: self._n])[:, :-classes]
        numbers["frechet_real"] = frechet_distance(real, known_features)
        return numbers | self._neighbours(images, known)

    def _look(self, images) -> np.ndarray:
        """What the judge sees of images, `[images, width + classes]`."""
        found = []
        for i in range(0, len(images), self._batch_size):
            rows = np.minimum(np.arange(i, i + self._batch_size), len(images) - 1)
            found.append(np.asarray(self._computed(self._judge.variables, {"image": images[rows]})))
        return np.concatenate(found)[: len(images)]

    def _neighbours(self, images, known) -> dict[str, float]:
        few = self.source.images(np.arange(min(COMPARED, self.source.examples)))

        def flat(images):
            return images.reshape(len(images), -1).astype(np.float32) / 255

        count = min(NEIGHBOURS, len(known))
        index, far = nearest(flat(images[:COMPARED]), flat(known), count)
        far_real = nearest(flat(few), flat(known), 1)[1]
        shown = min(SHOWN, len(images))
        rows = [images[:shown], *(known[index[:shown, i]] for i in range(count))]
        self.details["picture_neighbours"] = grids.grid(np.concatenate(rows), shown)
        scale = np.sqrt(images[0].size)
        return {
            "distance": float(np.median(far[:, 0]) / scale),
            "distance_real": float(np.median(far_real[:, 0]) / scale),
        }

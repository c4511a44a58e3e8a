"""A source of labelled images: files, decoded once or as they are needed, in one size.

Batches hold bytes; a task makes numbers of them by `mean` and `std` (tasks/labelled.py). What is done
to an image while training is done on the host (`transforms`, a pure function of seed, step and row), or
to the whole batch on the device (`batch_transforms`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from bigmodel_jax import config
from bigmodel_jax.data import order
from bigmodel_jax.data import splits as splitting
from bigmodel_jax.data.batch_transforms import augmentation
from bigmodel_jax.data.checks import check_batch_size, check_fingerprint
from bigmodel_jax.data.corpus import find_split, positions
from bigmodel_jax.data.decoding import Decoder, Geometry, Work, Worker
from bigmodel_jax.data.encoding import save_labels
from bigmodel_jax.data.labels import check_labels
from bigmodel_jax.data.looked_at import Images, look
from bigmodel_jax.data.order import Epochs, Plan, batches_per_epoch, plan_epoch
from bigmodel_jax.data.pixels import check_channels
from bigmodel_jax.errors import UserError

SAMPLES = 32  # images to be looked at


@flax.struct.dataclass
class Rows:
    """Which of the resident images make up a batch; all arrays [rows], 0 at padding."""

    index: Any
    label: Any
    valid: Any


class Source:
    """Batches of {"image" uint8 [rows, size, size, channels], "label" int32, "index" int32, "valid" bool}.

    "index" is which example of the split a row is, 0 at padding: by it an evaluation draws the same noise
    for an example whatever the batches.

    Args:
        reader: spec of a reader of images; resolved from the config's candidates.
        splits: slices of the data by the names that evaluators use; see data/splits.py.
        image_size: height and width of what the model sees, in pixels.
        channels: 1, gray, or 3, RGB; images of another kind are converted.
        crop: of an image that is not yet of that size, the shorter side is brought to image_size /
            crop, and the middle is taken.
        batch_size: examples a step, over all processes.
        stored: decode every image once and keep the pixels, in image_size, on the disk; else decode
            as often as it is needed, and transforms see the whole image.
        resident: keep the stored pixels on the device: `batch` then returns Rows, which `assemble`
            turns into the same batch, bit for bit, inside the jitted step.
        transforms: specs of what is done to each image while training; see data/image_transforms.
        batch_transforms: specs of what is done to each batch while training, on the device; see
            data/batch_transforms.
        mean, std: of each channel, 0 to 1, for a model's input; by default those of the training part.
        balance: while training, draw all classes equally often; see order.balanced.
        poisson: while training, each example is in each batch by a chance of its own, so that this many
            are on the average, and the rest of batch_size is padding (tasks/private.py); 0 is no.
        workers: processes that decode; -1 is one for each core.
        max_unreadable: images that may be damaged: they are named and left out; more are an error.
        fingerprint, split, training, seed, group, data_dir, process: as in data/text.py.
    """

    target = "class"  # or "nothing", where there are images alone
    applied = "pictures"  # what in applied/ knows how images are prepared

    def __init__(
        self,
        *,
        reader: Mapping,
        splits: Mapping[str, str],
        image_size: int,
        batch_size: int,
        channels: int = 3,
        crop: float = 1.0,
        stored: bool = False,
        resident: bool = False,
        transforms: Sequence[Mapping] = (),
        batch_transforms: Sequence[Mapping] = (),
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        balance: bool = False,
        poisson: int = 0,
        workers: int = -1,
        max_unreadable: int = 10,
        fingerprint: str = "",
        split: str = "train",
        training: bool = True,
        seed: int = 0,
        group: int = 1,
        data_dir: str = "",
        process: tuple[int, int] = (0, 1),
    ):
        self.batch_size, self.training, self.seed, self.group = batch_size, training, seed, group
        self.process, self.balance = process, balance and training
        check_batch_size(batch_size, process[1])
        check_channels(channels)
        if image_size < 1 or not 0 < crop <= 1:
            raise UserError(
                f"config.data.image_size is 1 or more, and crop lies in 0 to 1, but they are "
                f"{image_size} and {crop}."
            )
        if resident and (transforms or not stored):
            raise UserError(
                "config.data.resident keeps stored pixels on the device, where config.data.transforms "
                "do not pass: it needs stored=True, and batch_transforms in place of transforms."
            )
        self._reader = config.build("data.readers", reader, data_dir=data_dir)
        self.reader_name, self.synthetic = self._reader.name, self._reader.synthetic
        self.fingerprint = self._reader.fingerprint()
        check_fingerprint(self.reader_name, self.fingerprint, fingerprint)
        self.label_names = tuple(self._reader.label_names)
        if not getattr(self._reader, "labelled", True):
            self.target = "nothing"
        self._splits, self._data_dir = splits, data_dir
        self._geometry, self._stored = Geometry(image_size, channels, crop), stored
        self._workers, self._most, self._given = workers, max_unreadable, (mean, std)
        self._images = self._look(split)
        self.labels, self.examples = self._images.labels, len(self._images.labels)
        wrong = (self.labels < 0) | (self.labels >= len(self.label_names))
        if wrong.any():
            raise UserError(
                f"{wrong.sum():,} images of {self.reader_name} {find_split(splits, split)} have labels "
                f"such as {self.labels[wrong][0]}, but there are the classes 0 to "
                f"{len(self.label_names) - 1}: it is not, or wrongly, labelled."
            )
        self.resident = resident and training
        self.steps_per_epoch = batches_per_epoch(self.examples, batch_size, group)
        self.sample_rate, self._expected = None, poisson
        if poisson and training:
            self._sample(poisson, balance, mean is None or std is None)
        name = splitting.split_name(find_split(splits, split))
        chosen = tuple(transforms) if training else ()
        self._work = Work(self._reader, name, self._geometry, chosen)
        self._decoder, self._worker = Decoder(self._work, workers), Worker(self._work)
        # `augment(batch, rng) -> batch`, inside the jitted step.
        self.augment = augmentation(batch_transforms if training else ())
        if training and self.target == "class":
            part = f"The training part {splits.get(split, split)!r} of {self.reader_name}"
            for note in check_labels(self.labels, "class", self.label_names, part):
                self.say(note)
        self._epochs = Epochs(self._plan, self.steps_per_epoch, training)

    @property
    def info(self) -> dict[str, Any]:
        """What only the data know; opens the training part."""
        mean, std = self._given
        if mean is None or std is None:
            train = self._look("train")
            mean, std = mean or train.mean, std or train.std
        info: dict[str, Any] = {
            "image_size": self._geometry.size,
            "channels": self._geometry.channels,
            "mean": tuple(mean),
            "std": tuple(std),
        }
        if self.target == "class":
            info["num_classes"] = len(self.label_names)
        if self.sample_rate is not None:
            info |= {"sample_rate": self.sample_rate, "expected_batch": self._expected}
        return info

    def check_split(self, split: str) -> None:
        """Raises a UserError for an unknown or empty split: evaluators open theirs late."""
        positions(self._reader, find_split(self._splits, split), self._data_dir)

    def images(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Examples of this split as they are evaluated, uint8 [images, size, size, channels]."""
        return self._pixels(np.asarray(indices, np.int64), None)

    def peek(self) -> dict[str, np.ndarray]:
        """A batch of this process's share, for shapes."""
        size, channels, _ = self._geometry
        given = {"image_size": size, "channels": channels}
        return self.example(given, self.batch_size // self.process[1])

    @staticmethod
    def example(given: Mapping, rows: int) -> dict[str, np.ndarray]:
        """A batch of padding, as config.data has it, for shapes."""
        size, channels = given["image_size"], given.get("channels", 3)
        return {
            "image": np.zeros((rows, size, size, channels), np.uint8),
            "label": np.zeros(rows, np.int32),
            "index": np.zeros(rows, np.int32),
            "valid": np.zeros(rows, bool),
        }

    @staticmethod
    def described(given: Mapping) -> dict[str, Any]:
        """What config.data tells of `info`."""
        channels = given.get("channels", 3)
        mean, std = given.get("mean", (0.0,) * channels), given.get("std", (1.0,) * channels)
        return {"image_size": given["image_size"], "channels": channels, "mean": mean, "std": std}

    def batch(self, step: int) -> dict[str, np.ndarray] | Rows:
        """The rows of this process in the batch of a step; a pure function of (seed, step)."""
        rows = self._share(step)
        return rows if self.resident else self._on_host(rows, step)

    def store(self) -> np.ndarray:
        """What a resident source keeps on the device: all pixels."""
        assert self._images.pixels is not None
        return self._images.pixels

    @staticmethod
    def assemble(store: jax.Array, rows: Rows) -> dict[str, jax.Array]:
        """The batch of `rows` on the device, bit for bit that of the host."""
        image = jnp.where(rows.valid[:, None, None, None], store[rows.index], 0)
        return {"image": image, "label": rows.label, "index": rows.index, "valid": rows.valid}

    def rows(self, step: int) -> np.ndarray:
        """Which examples the batch of a step holds over all processes, [batch_size]; -1 pads."""
        if self.sample_rate is not None:
            return order.poisson(self.examples, self.sample_rate, self.batch_size, self.seed, step)
        plan, position = self._epochs.at(step)
        return plan.indices[position]

    def save_assets(self, folder: Path) -> None:
        """Writes what a reader of predictions needs, the names of the classes; and for people to look at
        images of the first step as the model may see them, samples.npz.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if self.target == "class":
            save_labels(folder, self.label_names, self.target)
        batch = self._on_host(self._share(0), 0)
        seen = self.augment(batch, jax.random.key(self.seed))
        shown = np.flatnonzero(batch["valid"])[:SAMPLES]
        image = np.asarray(seen["image"])[shown].round().astype(np.uint8)
        np.savez(folder / "samples.npz", image=image, label=batch["label"][shown])

    def say(self, note: str) -> None:
        """Tells the user something, once for all processes."""
        if self.process[0] == 0:
            print(f"NOTE: {note}", flush=True)

    def _look(self, split: str) -> Images:
        expression = find_split(self._splits, split)
        found = look(
            self._reader,
            splitting.split_name(expression),
            positions(self._reader, expression, self._data_dir),
            self._geometry,
            stored=self._stored,
            workers=self._workers,
            data_dir=self._data_dir,
        )
        if bad := found.unreadable:
            named = "; ".join(bad[:3]) + f"; and {len(bad) - 3:,} more" * (len(bad) > 3)
            count = f"{len(bad):,} image{'s' * (len(bad) > 1)} of {self.reader_name} {expression}"
            if len(bad) > self._most:
                raise UserError(
                    f"{count} cannot be read ({named}): mend them or take them out; or let "
                    f"config.data.max_unreadable be {len(bad)}, and they are left out."
                )
            self.say(
                f"{count} cannot be read, and {'are' if len(bad) > 1 else 'is'} left out: {named}."
            )
        return found

    def _sample(self, expected: int, balance: bool, counted: bool) -> None:
        """Sets out for batches of Poisson sampling."""
        if balance or counted:
            what = "balance" if balance else "mean and std"
            raise UserError(
                f"config.data.poisson is for learning in private, and config.data.{what} of the training "
                f"part would tell of it: {'leave it out' if balance else 'give numbers'}."
            )
        if not 0 < expected <= self.examples:
            raise UserError(f"config.data.poisson is {expected} of {self.examples} examples.")
        self.sample_rate = expected / self.examples
        order.check_room(self.examples, self.sample_rate, self.batch_size)
        dispatches = max(1, round(self.examples / (expected * self.group)))
        self.steps_per_epoch = self.group * dispatches

    def _share(self, step: int) -> Rows:
        """This process's part of the batch of a step."""
        rows = np.split(self.rows(step), self.process[1])[self.process[0]]
        valid = rows >= 0
        index = np.where(valid, rows, 0).astype(np.int32)
        return Rows(index, np.where(valid, self.labels[index], 0), valid)

    def _on_host(self, rows: Rows, step: int) -> dict[str, np.ndarray]:
        """The batch of those rows."""
        first = self.process[0] * len(rows.valid)  # of this process's rows in the whole batch
        chosen, seeds = np.flatnonzero(rows.valid), None
        if self.training and self._work.transforms:
            # (seed, epoch) alone would start the same generator as (seed, epoch, 0, 0).
            seeds = [(self.seed, step, first + int(row), 1) for row in chosen]
        image = np.zeros(self.peek()["image"].shape, np.uint8)
        image[chosen] = self._pixels(rows.index[chosen], seeds)
        if not self.training and step == self.steps_per_epoch - 1:
            self._decoder.close()  # until the next evaluation
        return {"image": image, "label": rows.label, "index": rows.index, "valid": rows.valid}

    def _pixels(self, indices, seeds) -> np.ndarray:
        """Examples of this split; with `seeds`, transformed."""
        stored = self._images.pixels
        if stored is not None and seeds is None:
            return stored[indices]
        if stored is not None:
            whole = (Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x) for x in stored[indices])
            pairs = zip(whole, seeds, strict=True)
            return np.stack([self._worker.finished(image, seed) for image, seed in pairs])
        found = self._decoder.decode(self._images.positions[indices], seeds)
        for i, why in found.unreadable.items():
            place = self._reader.place(self._work.split, int(self._images.positions[indices[i]]))
            raise UserError(f"{place} could be read before, and cannot now: {why}.")
        return found.images

    def _plan(self, epoch) -> Plan:
        return plan_epoch(
            np.ones(self.examples, np.int64),
            self.batch_size,
            buckets=(1,),
            seed=self.seed,
            epoch=epoch,
            shuffle=self.training,
            group=self.group,
            labels=self.labels if self.balance else None,
        )

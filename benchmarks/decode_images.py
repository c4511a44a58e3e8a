"""Times decoding image files for training, against a PyTorch DataLoader that does the same with PIL.

    python benchmarks/decode_images.py FOLDER_OR_ARCHIVE          # needs the extra [parity]
    python benchmarks/decode_images.py bccd.zip --workers=1,2

Files are decoded, cut at random, brought to --size pixels (random_resized_crop, bicubic) and flipped by
chance; both read the archive alike, in batches of 64. Ours decodes in this process with one worker, as
DataLoader does with none; else each has so many processes, which are started and warm before the clock
runs. Turns alternate; images a second are the median of --rounds, and a ratio above 1 means that we are
faster. Of one worker it is the throughput of a core.
"""

import argparse
import io
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bigmodel_jax.data.decoding import Decoder, Geometry, Work
from bigmodel_jax.data.image_transforms.random_resized_crop import Transform
from bigmodel_jax.data.readers.image_files import Reader

BATCH = 64


class Ours:
    """What a source of images does for its batches."""

    def __init__(self, reader: Any, split: str, size: int, workers: int):
        transforms = (dict(name="random_resized_crop", size=size), dict(name="flip"))
        self.decoder = Decoder(Work(reader, split, Geometry(size, 3, 1.0), transforms), workers)
        self.batches = np.split(
            np.arange(reader.splits[split]), range(BATCH, reader.splits[split], BATCH)
        )
        self.turn = 0

    def epoch(self) -> int:
        self.turn += 1
        seeds = [[(self.turn, int(i)) for i in batch] for batch in self.batches]
        return sum(len(part.images) for part in self.decoder.stream(self.batches, seeds))

    def close(self) -> None:
        self.decoder.close()


class Files(torch.utils.data.Dataset):
    """The same in PyTorch's form."""

    def __init__(self, reader: Any, split: str, size: int):
        self.reader, self.split, self.size = reader, split, size
        self.crop = Transform(size)

    def __len__(self) -> int:
        return self.reader.splits[self.split]

    def __getitem__(self, i: int) -> torch.Tensor:
        (example,) = self.reader.examples(self.split, [i])
        image = Image.open(io.BytesIO(example["image"])).convert("RGB")
        rng = np.random.default_rng()
        image = self.crop(image, rng)
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


class Theirs:
    """DataLoader with as many processes; it keeps them."""

    def __init__(self, reader: Any, split: str, size: int, workers: int):
        processes = 0 if workers == 1 else workers
        self.loader = torch.utils.data.DataLoader(
            Files(reader, split, size),
            BATCH,
            num_workers=processes,
            persistent_workers=processes > 0,
            # Forked ones would share the place at which an open archive is read.
            multiprocessing_context="spawn" if processes else None,
        )

    def epoch(self) -> int:
        return sum(len(batch) for batch in self.loader)

    def close(self) -> None:
        del self.loader


def measure(reader: Any, split: str, size: int, workers: int, rounds: int) -> list[float]:
    """Images a second: ours, theirs."""
    contestants = [kind(reader, split, size, workers) for kind in (Ours, Theirs)]
    speeds: list[list[float]] = [[], []]
    for turn in range(rounds + 1):
        for contestant, found in zip(contestants, speeds, strict=True):
            start = time.perf_counter()
            images = contestant.epoch()
            if turn:  # the first starts the processes
                found.append(images / (time.perf_counter() - start))
    for contestant in contestants:
        contestant.close()
    return [statistics.median(found) for found in speeds]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--workers", default="1,2", help="numbers of processes")
    parser.add_argument("--rounds", type=int, default=5)
    flags = parser.parse_args()
    reader = Reader(str(flags.path), labelled=False)
    if set(reader.splits) != {"train"}:
        sys.exit(f"{flags.path} has splits; give one of its folders.")
    print(f"{reader.splits['train']:,} images of {reader.name}, to {flags.size} x {flags.size}")
    print(f"{'workers':8}{'ours /s':>10}{'DataLoader /s':>15}{'ratio':>8}{'ours a worker':>15}")
    for workers in map(int, flags.workers.split(",")):
        ours, theirs = measure(reader, "train", flags.size, workers, flags.rounds)
        print(
            f"{workers:<8}{ours:10.0f}{theirs:15.0f}{ours / theirs:8.2f}{ours / workers:15.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

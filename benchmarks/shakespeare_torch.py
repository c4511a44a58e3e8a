"""What nanoGPT's small character-level recipe reaches in PyTorch, on all of the validation text.

    python benchmarks/shakespeare_torch.py tinyshakespeare.txt --seeds=3     # needs the extra [parity]

The recipe is that of configs/gpt_shakespeare.py:cpu: 4 layers of 4 heads, 128 wide, context 64, batch
12, 2,000 steps of AdamW, float32. nanoGPT itself reports a mean over 20 batches of random windows, and
calls 1.88 of them its result; printed here are that estimate and the loss of every character, in
windows one after another, as our evaluator `language` computes it.
"""

import argparse
import math

import numpy as np
import torch
from gpt_torch import GPT
from torch import nn

WIDTH, LAYERS, HEADS, LENGTH, BATCH, STEPS = 128, 4, 4, 64, 12, 2000
LR, WARMUP, BETAS, WEIGHT_DECAY, CLIP = 1e-3, 100, (0.9, 0.99), 0.1, 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    with open(options.text, encoding="utf-8") as file:
        text = file.read()
    characters = sorted(set(text))
    ids = torch.tensor([characters.index(c) for c in text])
    train, val = ids[: int(0.9 * len(ids))], ids[int(0.9 * len(ids)) :]
    found = []
    for seed in range(options.seeds):
        model, sample = trained(train, len(characters), seed)
        estimate = np.mean([float(model(*windows(val, sample))) for _ in range(20)])
        found.append((estimate, whole(model, val)))
        print(f"seed {seed}: 20 batches {estimate:.4f}, whole text {found[-1][1]:.4f}", flush=True)
    (estimate, exact), (spread, exact_spread) = np.mean(found, 0), np.std(found, 0, ddof=1)
    print(
        f"mean: 20 batches {estimate:.4f} +- {spread:.4f}, whole {exact:.4f} +- {exact_spread:.4f}"
    )


def trained(train, vocabulary, seed):
    """The model after all steps, in inference mode, and what it drew its windows with."""
    torch.manual_seed(seed)
    sample = torch.Generator().manual_seed(seed)
    model = GPT(vocabulary, WIDTH, LAYERS, HEADS, LENGTH)
    weights = list(model.parameters())
    groups = [
        {"params": [w for w in weights if w.dim() > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [w for w in weights if w.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, fused=True)
    for step in range(STEPS):
        share = (step - WARMUP) / (STEPS - WARMUP)
        cosine = 0.1 + 0.45 * (1 + math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = LR * (cosine if step >= WARMUP else (step + 1) / (WARMUP + 1))
        optimizer.zero_grad()
        model(*windows(train, sample)).backward()
        nn.utils.clip_grad_norm_(weights, CLIP)
        optimizer.step()
    return model.eval().requires_grad_(False), sample


def windows(ids, sample):
    """A batch of inputs and targets from random places."""
    places = torch.randint(len(ids) - LENGTH, (BATCH,), generator=sample)
    rows = torch.stack([ids[i : i + LENGTH + 1] for i in places])
    return rows[:, :-1], rows[:, 1:]


def whole(model, ids) -> float:
    """The mean loss of all targets, in windows one after another; the last may be shorter."""
    total, count = 0.0, len(ids) - 1
    full = count // LENGTH * LENGTH
    inputs, targets = ids[:full].view(-1, LENGTH), ids[1 : full + 1].view(-1, LENGTH)
    for some, wanted in zip(inputs.split(256), targets.split(256), strict=True):
        total += float(model(some, wanted)) * some.numel()
    if full < count:
        total += float(model(ids[full:-1][None], ids[full + 1 :][None])) * (count - full)
    return total / count


if __name__ == "__main__":
    main()

"""The network of benchmarks/gpt.py in PyTorch, as its authors would write it.

Scaled dot-product attention of PyTorch's own (flash attention where the device has it), one product
for query, key and value, the head tied to the embedding, AdamW fused, weight decay on matrices only.
"""

import math

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Pre-norm attention and MLP, without biases."""

    def __init__(self, width, num_heads, num_layers):
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        for layer in (self.qkv, self.up):
            nn.init.normal_(layer.weight, std=0.02)
        for layer in (self.out, self.down):
            nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * num_layers))

    def forward(self, x):
        rows, length, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(rows, length, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(rows, length, width))
        y = functional.gelu(self.up(self.mlp_norm(x)))
        return x + self.down(y)


class GPT(nn.Module):
    """GPT-2's network."""

    def __init__(self, vocabulary, width, num_layers, num_heads, length):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, num_heads, num_layers) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width, bias=False)
        for table in (self.embed, self.positions):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, tokens, targets):
        x = self.embed(tokens) + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = functional.linear(self.norm(x), self.embed.weight)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


class Contestant:
    """Whole training steps on one batch."""

    def __init__(self, vocabulary, sizes, tokens, precision, compiled, *, clip, **adamw):
        torch.manual_seed(0)
        fields = {k: sizes[k] for k in ("width", "num_layers", "num_heads", "length")}
        model = GPT(vocabulary, **fields)
        self.weights = list(model.parameters())
        self.parameters = sum(p.numel() for p in self.weights)
        self.forward = torch.compile(model) if compiled else model
        decay = adamw.pop("weight_decay")
        groups = [
            {"params": [p for p in self.weights if p.dim() > 1], "weight_decay": decay},
            {"params": [p for p in self.weights if p.dim() < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, fused=True, **adamw)
        tokens = torch.from_numpy(tokens).long()
        self.batch = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
        self.clip, self.half = clip, precision == "bfloat16"

    def run(self, steps: int) -> float:
        """The loss of the last of `steps` steps."""
        for _ in range(steps):
            self.optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
                self.loss = self.forward(*self.batch)
            self.loss.backward()
            nn.utils.clip_grad_norm_(self.weights, self.clip)
            self.optimizer.step()
        return self.loss.item()

"""The networks of benchmarks/text_models.py in PyTorch, as their authors would write them.

Of several forms of the same network the quickest on a CPU was kept: convolutions over a contiguous
copy, the maximum before the ReLU, Adam fused. Texts fill their length, so that no LSTM needs to be
packed (packed it takes as long); where pooling or attention must leave padding out, they do.
"""

import math
import warnings

import torch
from torch import nn

warnings.filterwarnings("ignore", "Using padding='same'")  # the copy it speaks of takes no time


def embedding(vocabulary, width, std=0.05):
    """A table that starts as ours does, so that the first losses can be compared."""
    table = nn.Embedding(vocabulary, width)
    nn.init.normal_(table.weight, std=std)
    return table


class LSTM(nn.Module):
    """An embedding and one LSTM, read at its end; of two directions, the maximum over time."""

    def __init__(self, vocabulary, width, hidden, bidirectional=False):
        super().__init__()
        self.embed = embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(hidden * (2 if bidirectional else 1), 2)

    def forward(self, tokens, mask):
        y = self.lstm(self.embed(tokens))[0]
        if not self.lstm.bidirectional:
            return self.head(y[:, -1])
        return self.head(y.masked_fill(~mask[..., None], -math.inf).max(1).values)


class TextCNN(nn.Module):
    """Convolutions of several sizes, the maximum over time."""

    def __init__(self, vocabulary, width, features, sizes, dropout):
        super().__init__()
        self.embed = embedding(vocabulary, width)
        convolutions = (nn.Conv1d(width, features, size, padding="same") for size in sizes)
        self.convolutions = nn.ModuleList(convolutions)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features * len(sizes), 2)

    def forward(self, tokens, mask):
        x = self.embed(tokens).transpose(1, 2).contiguous()
        pooled = [torch.relu(convolve(x).max(2).values) for convolve in self.convolutions]
        return self.head(self.dropout(torch.cat(pooled, 1)))


class Transformer(nn.Module):
    """A pre-norm encoder over embeddings and sinusoidal positions, the mean over time."""

    def __init__(self, vocabulary, width, num_layers, num_heads, length):
        super().__init__()
        self.embed = embedding(vocabulary, width, std=width**-0.5)
        wavelengths = 10_000 ** (torch.arange(width // 2) / (width // 2))
        angles = torch.arange(length)[:, None] / wavelengths
        self.register_buffer("positions", torch.cat([angles.sin(), angles.cos()], 1))
        layer = nn.TransformerEncoderLayer(
            width,
            num_heads,
            4 * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(
            layer, num_layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.head = nn.Linear(width, 2)

    def forward(self, tokens, mask):
        x = self.embed(tokens) * self.embed.embedding_dim**0.5 + self.positions
        x = self.encoder(x, src_key_padding_mask=~mask)
        real = mask[..., None].to(x.dtype)
        return self.head((x * real).sum(1) / real.sum(1))


NETWORKS = {"lstm": LSTM, "bilstm": LSTM, "textcnn": TextCNN, "transformer": Transformer}


class Contestant:
    """Whole training steps of one network on one batch."""

    def __init__(self, name, fields, tokens, labels, precision, compiled):
        torch.manual_seed(0)
        model = NETWORKS[name](**fields)
        self.parameters = sum(p.numel() for p in model.parameters())
        self.forward = torch.compile(model) if compiled else model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        self.tokens, self.labels = torch.from_numpy(tokens), torch.from_numpy(labels)
        self.mask = torch.ones(tokens.shape, dtype=torch.bool)
        self.half = precision == "bfloat16"

    def run(self, steps: int) -> float:
        """The loss of the last of `steps` steps."""
        for _ in range(steps):
            self.optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
                logits = self.forward(self.tokens, self.mask)
                self.loss = nn.functional.cross_entropy(logits, self.labels)
            self.loss.backward()
            self.optimizer.step()
        return self.loss.item()

"""The networks of benchmarks/image_models.py in PyTorch, as their authors would write them.

A ResNet is in the memory format channels_last, as PyTorch advises. The
transformer is torch.nn's, whose attention is the fused one.
"""

import torch
from torch import nn


class Block(nn.Module):
    """Two convolutions of 3 beside a shortcut."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv_0 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm_0 = nn.BatchNorm2d(outputs)
        self.conv_1 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm_1 = nn.BatchNorm2d(outputs)
        nn.init.zeros_(self.norm_1.weight)
        self.shortcut = nn.Sequential()
        if inputs != outputs:
            convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = torch.relu(self.norm_0(self.conv_0(x)))
        return torch.relu(self.norm_1(self.conv_1(y)) + self.shortcut(x))


class ResNet18(nn.Module):
    """With a convolution of 3 as its stem, for small images."""

    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        blocks, inputs = [], width
        for stage in range(4):
            for i in range(2):
                outputs = width * 2**stage
                blocks.append(Block(inputs, outputs, 2 if stage and not i else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = self.blocks(torch.relu(self.norm(self.conv(x))))
        return self.head(x.mean((2, 3)))


class ViT(nn.Module):
    """Pre-norm, learned positions, a class token."""

    def __init__(self, image_size, patch_size, width, num_heads, num_layers):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch_size, patch_size)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        count = (image_size // patch_size) ** 2 + 1
        self.positions = nn.Parameter(0.02 * torch.randn(1, count, width))
        layer = nn.TransformerEncoderLayer(
            width,
            num_heads,
            4 * width,
            dropout=0.0,
            activation="gelu",
            layer_norm_eps=1e-6,
            batch_first=True,
            norm_first=True,
        )
        norm = nn.LayerNorm(width, eps=1e-6)
        self.encoder = nn.TransformerEncoder(layer, num_layers, norm, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        return self.head(self.encoder(x)[:, 0])


NETWORKS = {"resnet18": ResNet18, "vit-ti4": ViT, "vit-ti16": ViT}


class Contestant:
    """Whole training steps of one network on one batch."""

    def __init__(self, name, fields, images, labels, precision, compiled):
        torch.manual_seed(0)
        model = NETWORKS[name](**fields)
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2)
        if name == "resnet18":
            model = model.to(memory_format=torch.channels_last)
            self.optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, fused=True)
        else:
            self.images = self.images.contiguous()
            self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
        self.parameters = sum(p.numel() for p in model.parameters())
        self.forward = torch.compile(model) if compiled else model
        self.labels = torch.from_numpy(labels)
        self.half = precision == "bfloat16"

    def run(self, steps: int) -> float:
        """The loss of the last of `steps` steps."""
        for _ in range(steps):
            self.optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
                logits = self.forward(self.images)
                self.loss = nn.functional.cross_entropy(logits, self.labels)
            self.loss.backward()
            self.optimizer.step()
        return self.loss.item()

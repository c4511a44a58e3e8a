"""A convolution that whitens small patches of images."""

import numpy as np


def whitening_kernel(images: np.ndarray, size: int = 2, epsilon: float = 5e-4) -> np.ndarray:
    """A kernel `[size, size, channels, 2 * n]` float32, n = size * size * channels.

    Its first n outputs on a patch of `images` are uncorrelated and of mean square 1, but for
    directions with less than `epsilon` of it; the others are the same negated, as an activation has
    two sides (Jordan 2024, airbench). The mean is not taken off.

    Args:
        images: `[images, height, width, channels]`, as the network sees them; some thousands do.
    """
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), (1, 2))
    patches = windows.transpose(0, 1, 2, 4, 5, 3)  # [..., row, column, channel]
    flat = patches.reshape(-1, size * size * images.shape[-1]).astype(np.float64)
    values, vectors = np.linalg.eigh(flat.T @ flat / len(flat))
    kernel = vectors / np.sqrt(values + epsilon)
    kernel = np.concatenate([kernel, -kernel], 1).astype(np.float32)
    return kernel.reshape(size, size, images.shape[-1], -1)

"""What one accelerator can do, by the name that --topology gives it.

Peaks are the makers' own: dense bfloat16 products, and what memory and links move at best.
"""

import math
import re
from typing import NamedTuple

from bigmodel_jax.errors import UserError, nearest

GIB = 2**30


class Chip(NamedTuple):
    """One device.

    Attributes:
        platform: whose compiler makes the program.
        flops: a second, of bfloat16 products.
        memory: bytes.
        bandwidth: bytes a second, of the memory.
        link: bytes a second that one device sends along one mesh axis over the fast links.
        network: the same between hosts (GPUs) or slices (TPUs).
        host: devices on one host that the fast links join; 0 is all (a TPU slice).
    """

    platform: str
    flops: float
    memory: float
    bandwidth: float
    link: float
    network: float
    host: int = 0


# TPUs: cloud.google.com/tpu/docs, one page a version; a ring sends both ways around a torus axis, so
# `link` is twice one link's one-way rate ("How to Scale Your Model", Austin et al. 2025). GPUs: NVIDIA's
# data sheets, NVLink one way, one 400 Gb/s adapter a GPU.
CHIPS = {
    "v4": Chip("tpu", 275e12, 32 * GIB, 1.2e12, 9e10, 6.25e9),
    "v5e": Chip("tpu", 197e12, 16 * GIB, 8.1e11, 9e10, 3.1e9),
    "v5p": Chip("tpu", 459e12, 95 * GIB, 2.77e12, 1.8e11, 6.25e9),
    "v6e": Chip("tpu", 918e12, 32 * GIB, 1.6e12, 1.8e11, 12.5e9),
    "a100": Chip("gpu", 312e12, 80 * GIB, 2.0e12, 3e11, 2.5e10, 8),
    "h100": Chip("gpu", 989e12, 80 * GIB, 3.35e12, 4.5e11, 5e10, 8),
    "h200": Chip("gpu", 989e12, 141 * GIB, 4.8e12, 4.5e11, 5e10, 8),
}


# What JAX calls them.
KINDS = {
    "TPU v4": "v4",
    "TPU v5 lite": "v5e",
    "TPU v5": "v5p",
    "TPU v5p": "v5p",
    "TPU v6 lite": "v6e",
    "NVIDIA A100": "a100",
    "NVIDIA H100": "h100",
    "NVIDIA H200": "h200",
}


def peak(device_kind: str) -> float:
    """Products a second of a device by JAX's name for its kind, in bfloat16; 0 if it is not known."""
    names = [name for name in KINDS if device_kind == name or device_kind.startswith(f"{name} ")]
    names += [name for name in KINDS if device_kind.startswith(f"{name}-")]  # NVIDIA A100-SXM4-80GB
    return CHIPS[KINDS[max(names, key=len)]].flops if names else 0.0


class Topology(NamedTuple):
    """Devices as --topology names them: "v5e:16x16", "h200:8x16" (8 on each of 16 hosts), "cpu:8".

    "2xv5e:16x16" are two slices of a TPU, of this shape each.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    slices: int = 1

    @property
    def devices(self) -> int:
        return self.slices * math.prod(self.shape)

    @property
    def chip(self) -> Chip | None:
        """What each of them can do, where that is known; fast links join those of a slice."""
        chip = CHIPS.get(self.kind)
        return (
            chip if chip is None or self.slices == 1 else chip._replace(host=math.prod(self.shape))
        )

    @property
    def platform(self) -> str:
        return CHIPS[self.kind].platform if self.kind in CHIPS else "cpu"


def parse(name: str) -> Topology:
    """Raises a UserError for a name that is none."""
    kind, _, shape = name.partition(":")
    several = re.fullmatch(r"([1-9]\d*)x(.*)", kind)
    slices, kind = (int(several[1]), several[2]) if several else (1, kind)
    if kind not in (known := (*CHIPS, "cpu")):
        raise UserError(f"--topology={name}: there is no device {kind!r}.{nearest(kind, known)}")
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", shape):
        raise UserError(
            f"--topology={name}: after {kind}: come numbers of devices, as in v5e:4x4, h200:8x16 or cpu:8."
        )
    found = Topology(name, kind, tuple(map(int, shape.split("x"))), slices)
    if slices > 1 and found.platform != "tpu":
        raise UserError(
            f"--topology={name}: only TPUs come in slices; say {kind}:8x{slices}, or so."
        )
    return found

"""Devices in a mesh: across slices goes what talks least, and a process reads one piece of a batch."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from bigmodel_jax import sharding, topology
from bigmodel_jax.errors import UserError


def hosts(count, each=4):
    """GPUs of several hosts, each of which JAX calls a slice."""
    return [
        SimpleNamespace(
            id=i, process_index=i // each, slice_index=i // each, platform="gpu", device_kind="H100"
        )
        for i in range(count * each)
    ]


def torus(*shape, slices=1):
    """Chips of TPU slices; a host has a block of 2 x 2 of them."""
    chips, places = [], list(np.ndindex(*shape))
    for number in range(slices):
        for x, y, z in places:
            blocks = np.ravel_multi_index(
                (x // 2, y // 2, z), (shape[0] // 2, shape[1] // 2, shape[2])
            )
            chips.append(
                SimpleNamespace(
                    id=len(chips),
                    process_index=number * len(places) // 4 + int(blocks),
                    slice_index=number,
                    platform="tpu",
                    device_kind="TPU v6 lite",
                    coords=(x, y, z),
                    core_on_chip=0,
                )
            )
    return chips


def arranged(devices, **sizes):
    shape = {**dict.fromkeys(sharding.AXES, 1), **sizes}
    mesh = SimpleNamespace(devices=topology.arrange(shape, devices), shape=shape)
    assert mesh.devices.shape == tuple(shape.values())
    assert {d.id for d in mesh.devices.flat} == {d.id for d in devices}
    return mesh


def crosses(mesh):
    """The axes along which devices of several slices stand."""
    slices = np.vectorize(lambda device: device.slice_index)(mesh.devices)
    return [name for i, name in enumerate(mesh.shape) if (np.ptp(slices, axis=i) > 0).any()]


@pytest.mark.parametrize(
    "sizes, expected",
    [
        (dict(data=4, tensor=4), ["data"]),
        (dict(data=2, fsdp=8), ["data", "fsdp"]),  # four hosts: two is all that data can take
        (dict(fsdp=16), ["fsdp"]),
        (dict(fsdp=4, stage=4), ["stage"]),
        (dict(sequence=8, tensor=2), ["sequence"]),
        (dict(tensor=16), ["tensor"]),  # there is nothing else
    ],
)
def test_what_talks_least_goes_across_slices(sizes, expected):
    assert crosses(arranged(hosts(4), **sizes)) == expected


@pytest.mark.parametrize("slices", [1, 2])
@pytest.mark.parametrize(
    "sizes",
    [
        dict(data=1),  # times all that are left, as each of these
        dict(fsdp=1),
        dict(data=4, fsdp=1),
        dict(fsdp=1, tensor=2),  # smaller than any side of the torus
        dict(fsdp=1, tensor=4),
        dict(data=2, fsdp=1, sequence=2, tensor=2),
        dict(data=1, stage=4),
    ],
)
@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 4, 4)])
def test_each_host_of_a_torus_reads_one_piece_of_a_batch(shape, sizes, slices, monkeypatch):
    chips = torus(*shape, slices=slices)
    rest = len(chips) // int(np.prod(list(sizes.values())))
    name = "fsdp" if "fsdp" in sizes else "data"
    mesh = arranged(chips, **{**sizes, name: sizes[name] * rest})
    assert slices == 1 or crosses(mesh) == [next(iter(sizes))]
    read = set()
    for process in range(len(chips) // 4):
        monkeypatch.setattr(jax, "process_index", lambda process=process: process)
        index, count = sharding.share(mesh)
        read.add(index)
    assert read == set(range(count))


def test_slices_of_unlike_sizes_are_named():
    with pytest.raises(
        UserError, match=r"2 slices have unlike numbers of devices \(4 in 0, 2 in 1\)"
    ):
        arranged(hosts(2)[:6], data=6)

"""Applies the exported model beside this file; needs jax, its flatbuffers and numpy, nothing else.

from load import load
predict = load()              # or load("FOLDER"); about.json says what goes in and comes out
outputs = predict({"tokens": tokens, "mask": mask})

python load.py inputs.npz outputs.npz
"""

import json
import sys
from pathlib import Path

import jax
import jax.export  # type: ignore
import numpy as np


def load(folder=Path(__file__).parent):
    """The function from a dict of arrays to a dict of arrays, on JAX's default device."""
    program = bytearray((Path(folder) / "model.stablehlo").read_bytes())
    exported = jax.export.deserialize(program)
    (parameters, inputs), _ = jax.tree.unflatten(exported.in_tree, exported.in_avals)
    data = np.memmap(Path(folder) / "parameters.safetensors", np.uint8, "r")
    start = 8 + int(data[:8].view("<u8")[0])
    header = json.loads(bytes(data[8:start]))
    for name, x in parameters.items():
        first, end = header[name]["data_offsets"]
        array = np.array(data[start + first : start + end]).view(x.dtype).reshape(x.shape)
        parameters[name] = jax.device_put(array)
    call = jax.jit(exported.call)

    def predict(batch):
        given = {name: np.asarray(batch[name], x.dtype) for name, x in inputs.items()}
        return jax.device_get(call(parameters, given))

    return predict


if __name__ == "__main__":
    np.savez(sys.argv[2], **load()(dict(np.load(sys.argv[1]))))

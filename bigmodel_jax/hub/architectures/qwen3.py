"""Qwen 3: Qwen 2 with a norm of each query and key in place of their biases."""

from bigmodel_jax.hub.architectures import llama, qwen2
from bigmodel_jax.hub.layout import Head

MODEL, PREFIX, SETTINGS = llama.MODEL, llama.PREFIX, llama.SETTINGS
PARAMETERS, BUFFERS, TIES = llama.PARAMETERS, llama.BUFFERS, llama.TIES
FIXED = {"attention_bias": (False,)}
IGNORED, WRITTEN = qwen2.IGNORED, qwen2.WRITTEN
OURS = {**llama.OURS, "qk_norm": True}
HEADS = {"Qwen3ForCausalLM": Head({"head": "lm"})}
read_more, write_more = qwen2.read_more, qwen2.write_more

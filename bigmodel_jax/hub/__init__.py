"""Published parameters in and out: safetensors in the layouts of transformers, without torch."""

"""bigmodel_jax: large models, from a laptop to a TPU pod with the same command."""

__version__ = "0.1.0"

"""The laws that a config is held to, a law a file: `check(subject) -> Finding`.

By `python -m bigmodel_jax.verify` for users, and by tests/laws for every config that is shipped.
"""

"""Experiments, one a file: plain data, made by get_config(arg)."""

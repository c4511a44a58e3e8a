"""A run's `predict` as a program of its own (export.py): what it reads, its files, their loader."""

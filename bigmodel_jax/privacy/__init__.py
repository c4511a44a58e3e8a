"""Differential privacy: the step that gives it (gradient.py), and how much of it is left (accountant.py)."""

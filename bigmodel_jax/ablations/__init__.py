"""Ablations and searches: many runs of one config, and what may be concluded from them."""

"""Synthetic rows from a language model at an endpoint; the only part that touches a network."""

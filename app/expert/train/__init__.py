"""Data sets, training and evaluation of the base model and of experts."""

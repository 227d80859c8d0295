"""Measuring what this machine does with a model file and with experts on it."""

"""Data sets for training: brought into one form, checked, split, measured, and made."""

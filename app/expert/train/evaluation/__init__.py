"""Measuring experts beside their base, on data that nothing was trained on."""

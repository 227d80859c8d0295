"""The marketplace: where experts come from, which versions fit together, and what is installed.

`workflow` holds what commands call; each function there returns data and prints nothing.
"""

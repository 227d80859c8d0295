"""The chat in a terminal: screens and widgets on Textual, over a `Backend` that does the work."""

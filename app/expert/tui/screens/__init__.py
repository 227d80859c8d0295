"""The full screens, and what is asked on top of them."""

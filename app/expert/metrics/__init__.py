"""How good answers are, each task by its own measure: pure functions, independent of any model."""

"""A small language for the form of an answer: fields, choices, lists and templates with holes."""

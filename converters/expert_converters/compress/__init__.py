"""Smaller forms of LoRA adapters: llama.cpp's own types, packed codes, and sparse factors."""

"""Bundled weights (safetensors) and their cards (json)."""

"""Measure the model: what it draws against what was said."""

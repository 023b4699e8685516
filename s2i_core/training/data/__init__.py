"""The training data: built once, read by every trainer."""

"""Whole recordings: kept at the one desk, and illustrated there."""

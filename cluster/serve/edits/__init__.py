"""Editing what runs drew, over the service's own model."""

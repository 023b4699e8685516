"""A trainer for each part of the model."""

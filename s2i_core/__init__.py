"""The s2i domain and model."""

"""Decoder backends: from condition tokens and the pooled vector to pixels."""

"""Image decoders: from what the speech encoder says to pixels."""

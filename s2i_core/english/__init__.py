"""English: what things are called, and sentences about pictures."""

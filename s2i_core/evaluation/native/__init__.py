"""What looks at what the native decoder places: its slots, and the judge that is trained on its pictures."""

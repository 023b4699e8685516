"""Where a picture comes from: signed credentials, a watermark, and what can still be said of a file."""

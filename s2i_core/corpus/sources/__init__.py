"""Where training data comes from: packages, voices, illustrations, captions."""

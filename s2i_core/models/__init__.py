"""The parts of a model: speech encoders, the space shared with images, image decoders."""

"""Speech encoders: from features of sound to tokens and a vector in the space shared with images."""

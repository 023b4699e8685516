"""From the bytes of an audio object to the features of its utterances."""

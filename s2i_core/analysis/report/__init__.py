"""`s2i report`: how the runs of a month went, and whether the last one is like those before."""

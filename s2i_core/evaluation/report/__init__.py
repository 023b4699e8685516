"""What was measured, for people: the page, the model card, and the targets beside it."""

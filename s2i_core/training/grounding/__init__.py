"""Training of what hears single things in talk, with their times."""

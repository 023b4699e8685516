"""Does a listener hear what a lecture names, and when? Passages of talk, spoken and scored."""

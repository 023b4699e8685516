"""`s2i library build`: a library of a customer's own illustrations."""

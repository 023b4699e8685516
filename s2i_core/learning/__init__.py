"""How networks learn here: one loop, its state on disk, its devices."""

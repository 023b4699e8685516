"""How networks are trained: one loop, its state on disk, its devices."""

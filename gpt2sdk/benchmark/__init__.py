"""How fast a model writes here, and how fast the machine would let it."""

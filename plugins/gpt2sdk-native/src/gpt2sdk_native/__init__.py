"""GPT-2 on CPUs by a compiled engine: rows of the same bits in any batch, on any instruction set."""

"""GPT-2 on CPUs by a compiled engine: rows have the same bits in any batch."""

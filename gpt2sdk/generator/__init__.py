"""Text in, text out; `gpt2sdk.generator.generator` is the entrance."""

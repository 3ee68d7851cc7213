"""Text to tokens and back, from the files of any model in the Hugging Face layout."""

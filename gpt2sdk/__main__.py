"""`python -m gpt2sdk`: the command line."""

from gpt2sdk.cli import main

main()

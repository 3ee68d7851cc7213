"""Finds plugins, leaves broken ones out, and keeps what the others offer.

`gpt2sdk.plugins.registry` is what the rest of the core asks; `gpt2sdk.plugins.host` is what the
registry is filled from.
"""

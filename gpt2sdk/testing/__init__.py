"""Fakes and conformance checks for authors of components."""

from gpt2sdk.testing.board import make_rows

__all__ = ["make_rows"]

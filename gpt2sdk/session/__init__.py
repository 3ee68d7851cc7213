"""The session: rows, cache and verbs."""

"""The roles plugins fill, the records that flow, and, by name, every installed component."""

"""Weight files of any model: read and written tensor by tensor, in folders that change whole."""

"""How well a model and the index serve a person's own photos."""

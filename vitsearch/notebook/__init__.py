"""vitsearch in Python: a library with everything on it, and answers that a notebook shows as pictures."""

"""Which pairs of photos are worth a closer look."""

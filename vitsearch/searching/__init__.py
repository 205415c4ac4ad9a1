"""Turn a query into matches."""

"""A library as a Parquet file, and back."""

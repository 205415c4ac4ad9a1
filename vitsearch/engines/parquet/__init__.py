"""Export a library to Parquet files, and import them."""

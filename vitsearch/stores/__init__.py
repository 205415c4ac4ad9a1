"""Other places where the vectors of a library can live: Parquet files, and engines beyond one machine."""

"""Beyond one machine: Parquet, Milvus, Ray and URLs. The core never imports them."""

"""A library's embeddings in Milvus."""

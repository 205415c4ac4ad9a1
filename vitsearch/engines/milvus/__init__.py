"""A library's vectors in Milvus."""

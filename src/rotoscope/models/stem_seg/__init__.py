"""STEm-Seg: embeddings of a whole clip, clustered into instances."""

"""A benchmark of neural-architecture-search strategies for video recognition."""

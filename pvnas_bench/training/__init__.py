"""Training and testing one network by one recipe."""

"""Training and testing of networks, all with the same recipe."""

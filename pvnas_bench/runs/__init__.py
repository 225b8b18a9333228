"""One run: its request, setup, search, final training and record."""

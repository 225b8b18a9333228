"""One run: a request, what it stands for, its search, its final training, its record."""

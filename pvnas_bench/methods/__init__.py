"""What strategies share: black-box and bilevel search, distributions, gates, knapsacks, evolution, zero-cost scores."""

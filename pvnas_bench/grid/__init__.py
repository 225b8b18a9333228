"""Many runs: grids of cells, the executors that run them, and the tables of whole spaces."""

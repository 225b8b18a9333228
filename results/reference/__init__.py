"""Published records, by which a run of one's own is placed: data of the package, see `pvnas_bench.cli._results`."""

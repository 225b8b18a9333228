"""The builder of tables: trains every architecture of a small space, trains some again, scores them untrained.

It stands on top of the harness, which only looks tables up (`pvnas_bench.table`).
"""

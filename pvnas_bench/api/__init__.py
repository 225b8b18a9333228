"""The Python interface: what `import pvnas_bench as pb` offers to users, and what the command line calls.

`pb.run`, `pb.compare`, `pb.leaderboard`, `pb.load_table`, `pb.load_record` and `pb.list_…` are functions of this room.
The command line parses words, calls the same functions and prints. An argument that cannot be used is a `UsageError`
with the words of the command line.
"""

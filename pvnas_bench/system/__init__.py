"""The operating system: files, leases, signals, workers, facts about the machine. Nothing of NAS, and no torch."""

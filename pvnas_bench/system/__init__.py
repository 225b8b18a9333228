"""The operating system: files, leases, signals, workers, facts about the machine. No NAS, no torch."""

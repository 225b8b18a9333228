"""Evaluation of records: leaderboards, statistics, plots and reports. Never imports torch."""

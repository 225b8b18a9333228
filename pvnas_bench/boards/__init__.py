"""From records to answers: leaderboards, statistics, plots and pages. Never imports torch."""

"""One self-contained HTML page of results: leaderboards, curves and every run's record. Never imports torch."""

from pvnas_bench.report._page import Thumbnail, render, write

__all__ = ["Thumbnail", "render", "write"]

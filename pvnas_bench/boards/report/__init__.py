"""Report: one self-contained HTML page with leaderboards, curves and every run's record. Never imports torch."""

from pvnas_bench.boards.report._clips import Thumbnail, thumbnail
from pvnas_bench.boards.report._page import Clips, render, write

__all__ = ["Clips", "Thumbnail", "render", "thumbnail", "write"]

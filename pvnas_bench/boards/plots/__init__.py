"""Plots of records as PNG and SVG, readable in greyscale and for colour-blind people.

`KINDS` lists the plots; `plot` draws one kind for every board and writes the files. The same records always give the
same bytes with the same versions of matplotlib and its fonts. Never imports torch.
"""

from pvnas_bench.boards.plots._files import FORMATS, KINDS, Drawn, Kind, encoded, plot
from pvnas_bench.boards.plots._style import COLOURS, GREY, INK, clean, figure, footnote, styled

__all__ = [
    "COLOURS",
    "FORMATS",
    "GREY",
    "INK",
    "KINDS",
    "Drawn",
    "Kind",
    "clean",
    "encoded",
    "figure",
    "footnote",
    "plot",
    "styled",
]

"""Plots of records: figures that are readable in grey and by the colour-blind, as PNG and SVG.

`KINDS` names the plots; `plot` draws one kind for every board that it fits and writes the files. The same records
always give the same bytes with the same versions of matplotlib and its fonts. Never imports torch.
"""

from pvnas_bench.boards.plots._files import FORMATS, KINDS, Drawn, Kind, encoded, plot
from pvnas_bench.boards.plots._style import COLOURS, GREY, clean, figure, styled

__all__ = [
    "COLOURS",
    "FORMATS",
    "GREY",
    "KINDS",
    "Drawn",
    "Kind",
    "clean",
    "encoded",
    "figure",
    "plot",
    "styled",
]

"""Checks as text: a table for a terminal, annotations for GitHub."""

from pvnas_bench.boards.check.findings import Check
from pvnas_bench.system.text import left, width


def plain(text: str) -> str:
    """Replace unprintable characters."""
    return "".join(c if c.isprintable() else "�" for c in text)


def render_terminal(check: Check) -> str:
    """Render a table of regressions and skipped comparisons, and a line of counts."""
    lines = []
    shown = [f for verdict in ("regressed", "skipped") for f in check.findings if f.verdict == verdict]
    if shown:
        header = ("", "what", "entry", "quantity", "baseline", "fresh")
        table = [header] + [
            (f.verdict.upper(), f.kind, plain(f.entry), plain(f.quantity), plain(f.baseline), plain(f.fresh))
            for f in shown
        ]
        widths = [max(width(row[column]) for row in table) for column in range(len(header))]
        for number, (row, finding) in enumerate(zip(table, [None, *shown], strict=True)):
            lines.append("  ".join(left(cell, size) for cell, size in zip(row, widths, strict=True)).rstrip())
            if number == 0:
                lines.append("  ".join("─" * size for size in widths))
            elif finding is not None:
                where = f" [{finding.board}]" if finding.board else ""
                lines.append(f"    {plain(finding.message)}{plain(where)}")
    count = {verdict: sum(f.verdict == verdict for f in check.findings) for verdict in ("ok", "regressed", "skipped")}
    lines.append(f"{count['regressed']} regressed, {count['ok']} passed, {count['skipped']} not compared")
    return "\n".join(lines) + "\n"


def to_github(check: Check) -> str:
    """Render workflow commands that GitHub shows as annotations, an error for each regression."""
    lines = []
    for finding in check.regressed:
        title = escaped(f"{finding.kind}: {finding.entry or finding.quantity}", ":,")
        message = f"{finding.message} (baseline {finding.baseline}, fresh {finding.fresh})"
        lines.append(f"::error title={title}::{escaped(message)}\n")
    return "".join(lines)


def escaped(text: str, further: str = "") -> str:
    """Escape a value of a workflow command."""
    for character in "%\r\n" + further:
        text = text.replace(character, f"%{ord(character):02X}")
    return text

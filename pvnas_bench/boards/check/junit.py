"""Checks as JUnit XML."""

from xml.etree import ElementTree

from pvnas_bench.boards.check.findings import Check
from pvnas_bench.boards.check.render import plain


def to_junit(check: Check) -> str:
    """Render JUnit XML with one test case for each comparison."""
    suite = ElementTree.Element(
        "testsuite",
        name="pvnas_bench check",
        tests=str(len(check.findings)),
        failures=str(len(check.regressed)),
        errors="0",
        skipped=str(sum(f.verdict == "skipped" for f in check.findings)),
    )
    for finding in check.findings:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=plain(" / ".join(part for part in (finding.board, finding.entry) if part) or "speed"),
            name=plain(f"{finding.kind}: {finding.quantity}"),
        )
        if finding.verdict != "ok":
            name = "failure" if finding.verdict == "regressed" else "skipped"
            note = ElementTree.SubElement(case, name, message=plain(finding.message))
            if finding.verdict == "regressed":
                note.text = plain(f"baseline: {finding.baseline} fresh: {finding.fresh}")
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"

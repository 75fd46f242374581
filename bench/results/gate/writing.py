"""A gate's findings for people (a summary in Markdown) and for machines (JSON, JUnit, SARIF)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from bench.results.gate.judge import Finding, Gate
from bench.statistics import MOST, Summary, Verdict

WORDS: dict[Verdict | None, str] = {
    "pass": "PASS", "fail": "FAIL", "inconclusive": "INCONCLUSIVE", None: "NOTHING TO COMPARE",
}  # fmt: skip
_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
_PLACE = {"artifactLocation": {"uri": "genbench"}, "region": {"startLine": 1}}  # numbers stand in no line of the source
_LEVELS = {"fail": "error", "inconclusive": "warning", "pass": "none"}


def headline(gate: Gate) -> str:
    """The verdict in a sentence."""
    counts = {verdict: sum(f.verdict == verdict for f in gate.blocking) for verdict in ("fail", "inconclusive", "pass")}
    of = f"of {len(gate.blocking)} numbers that may block"
    told = ", ".join(f"{n} {WORDS[verdict]}" for verdict, n in counts.items() if n)  # type: ignore[index]
    nothing = f"{WORDS[None]}: no number that may block is on both sides"
    return f"{WORDS[gate.verdict]}: {told} {of}" if gate.blocking else nothing


def change_text(finding: Finding) -> str:
    """``+3.1% [+1.2%, +5.0%]``, or in the metric's unit where its margin is, or beside a baseline of 0."""
    if finding.change is None or finding.baseline is None:
        return finding.note
    base = abs(finding.baseline.mean) if finding.margin.relative else 0.0
    scale, unit = (100 / base, "%") if base else (1.0, f" {finding.unit}" if finding.unit not in ("", "1") else "")
    ends = [finding.interval.lo, finding.interval.hi] if finding.interval else []
    value, *around = (f"{scale * number:+.3g}{unit}" for number in (finding.change.value, *ends))
    return f"{value} [{', '.join(around)}]" if around else value


def settling_text(finding: Finding) -> str:
    """What would settle an open one."""
    if finding.verdict != "inconclusive":
        return ""
    if finding.seeds is None:
        return finding.note or "more samples would tell"
    if finding.note:
        return f"{finding.note}: {finding.seeds} seeds a side are a start"
    if finding.seeds > MOST:
        return f"so near the margin that {MOST:,} seeds a side would not tell"
    return f"about {finding.seeds} seeds a side would tell, if the difference is what it seems"


def side_text(summary: Summary | None) -> str:
    """Mean, spread and number of seeds; "" for none."""
    return f"{summary} ({summary.n})" if summary else ""


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """What fails first, then what is open, what blocks before what does not."""
    order = {"fail": 0, "inconclusive": 1, "pass": 2}
    return sorted(findings, key=lambda f: (not f.blocking, order[f.verdict]))


def to_markdown(gate: Gate) -> str:
    """For the step summary of a CI job: the verdict, a table of what blocks, the rest folded away."""
    lines = [f"## genbench check: {headline(gate)}", ""]
    lines += _table([f for f in in_order(gate.findings) if f.blocking])
    rest = [f for f in in_order(gate.findings) if not f.blocking]
    if rest:
        folded = f"<details><summary>{len(rest)} more numbers, which do not block</summary>"
        lines += [folded, "", *_table(rest), "</details>", ""]
    lines += [f"- {_cell(note)}" for note in gate.notes]
    lines += [f"- ran otherwise: {_cell(line)}" for line in gate.settings]
    return "\n".join(lines).rstrip() + "\n"


_HEAD = (
    "verdict", "generator", "dataset", "metric", "baseline", "candidate", "change", "margin", "by", "what would tell",
)  # fmt: skip


def _table(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    rows = [
        (
            WORDS[f.verdict], f.generator, f.dataset, f.what, side_text(f.baseline), side_text(f.candidate),
            change_text(f), str(f.margin), f.method, settling_text(f),
        )
        for f in findings
    ]  # fmt: skip
    cells = [[_cell(word) for word in row] for row in rows]
    return ["| " + " | ".join(row) + " |" for row in [_HEAD, ["---"] * len(_HEAD), *cells]] + [""]


def _cell(text: str) -> str:
    """Text that stays text in a table of Markdown, whatever it is called."""
    for mark in "\\`*_|<>[]":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def to_json(gate: Gate) -> str:
    """One document, with all that the findings hold."""
    document = {
        "verdict": gate.verdict,
        "findings": [_facts(finding) for finding in gate.findings],
        "notes": gate.notes,
        "settings": gate.settings,
        "policy": gate.policy.model_dump(mode="json"),
    }
    return json.dumps(document, indent=1) + "\n"


def _facts(finding: Finding) -> dict[str, Any]:
    plain = ("dataset", "generator", "metric", "unit", "better", "verdict", "blocking", "exact", "p", "seeds", "method")
    return {
        **{name: getattr(finding, name) for name in plain},
        "margin": str(finding.margin),
        "baseline": finding.baseline and asdict(finding.baseline),
        "candidate": finding.candidate and asdict(finding.candidate),
        "change": finding.change.value if finding.change else None,
        "interval": finding.interval.model_dump() if finding.interval else None,
        "note": finding.note,
        "lacking": finding.lacking or None,
    }


def to_junit(gate: Gate) -> str:
    """A test case a finding: what may block fails it, what is open or only shown is skipped, with the reason."""
    failures = sum(f.verdict == "fail" and f.blocking for f in gate.findings)
    skipped = sum(f.verdict != "pass" for f in gate.findings) - failures
    counts = {"tests": len(gate.findings), "failures": failures, "skipped": skipped, "errors": 0}
    suite = ElementTree.Element("testsuite", {k: str(n) for k, n in counts.items()}, name="genbench check")
    for finding in gate.findings:
        case = ElementTree.SubElement(suite, "testcase", classname=legal(finding.where), name=legal(finding.what))
        said = legal(f"{change_text(finding)}; margin {finding.margin}; {finding.method}. {settling_text(finding)}")
        if finding.verdict == "fail" and finding.blocking:
            ElementTree.SubElement(case, "failure", message=said, type="regression")
        elif finding.verdict != "pass":
            ElementTree.SubElement(case, "skipped", message=said)
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def legal(text: str) -> str:
    """Without what XML 1.0 cannot hold."""
    return "".join(c for c in text if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff")


def to_sarif(gate: Gate) -> str:
    """SARIF 2.1.0: a rule a metric, a result for each that failed or is open."""
    told = [f for f in in_order(gate.findings) if f.verdict != "pass"]
    rules = dict.fromkeys(f.metric for f in told)
    results = [
        {
            "ruleId": f.metric,
            "level": _LEVELS[f.verdict] if f.blocking else "note",
            "message": {"text": f"{f.where}: {f.what} {change_text(f)}; margin {f.margin}. {settling_text(f)}"},
            "locations": [
                {
                    "physicalLocation": _PLACE,  # without one GitHub takes no file
                    "logicalLocations": [{"fullyQualifiedName": f"{f.dataset}/{f.generator}"}],
                }
            ],
        }
        for f in told
    ]
    driver = {"name": "genbench", "rules": [{"id": rule, "shortDescription": {"text": rule}} for rule in rules]}
    run = {"tool": {"driver": driver}, "results": results}
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"

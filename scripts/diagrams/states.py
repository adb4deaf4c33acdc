"""The core's tables as a Mermaid diagram and a table in Markdown, between markers of a page."""

from __future__ import annotations

from cubelet.core.inputs import Cause
from cubelet.core.model import State
from cubelet.core.table import EDGES, REQUESTS, Join, Refuse, Rule, Start, Verb

_BEGIN = "<!-- {name}: written by scripts/state_diagram -->"
_END = "<!-- end of {name} -->"
#: How many causes a label names; more are told by those that are missing.
_NAMED_MAX = 3


class NoMarkers(Exception):
    """The page does not say where something goes."""


def rewritten(page: str) -> str:
    """The page with both parts as the tables say."""
    page = _put(page, "states", _diagram())
    return _put(page, "requests", _requests())


def _put(page: str, name: str, text: str) -> str:
    begin, end = _BEGIN.format(name=name), _END.format(name=name)
    before, found, rest = page.partition(begin)
    old, closed, after = rest.partition(end)
    if not found or not closed or begin in old:
        raise NoMarkers(f"it needs the lines {begin!r} and {end!r}, in this order")
    return f"{before}{begin}\n{text}\n{end}{after}"


def _diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR"]
    for (before, after), causes in EDGES.items():
        source = before.value if before else "[*]"
        lines.append(f"    {source} --> {after.value}: {_causes(causes)}")
    lines += [f"    {State.DELETED} --> [*]: nothing is left", "```"]
    return "\n".join(lines)


def _causes(causes: frozenset[Cause]) -> str:
    missing = [cause.value for cause in Cause if cause not in causes]
    if not missing:
        return "any"
    if len(causes) <= _NAMED_MAX:
        return ", ".join(cause.value for cause in Cause if cause in causes)
    return f"any but {', '.join(missing)}"


def _requests() -> str:
    verbs = list(Verb)
    lines = [
        f"| state | {' | '.join(verbs)} |",
        "|---" * (len(verbs) + 1) + "|",
    ]
    for state in State:
        cells = [_rule(REQUESTS[state, verb]) for verb in verbs]
        lines.append(f"| {state} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _rule(rule: Rule) -> str:
    match rule:
        case Start():
            return "**begins**"
        case Join():
            return "waits for the same outcome"
        case Refuse(reason=reason):
            return reason.value

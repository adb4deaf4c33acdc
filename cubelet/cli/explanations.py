"""Why a sandbox is in its state: a text that is read in ten seconds, and the same as a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from cubelet.api.v1.sandboxes_pb2 import Condition, ExplainResponse, JournalEntry, Sandbox, Step
from cubelet.cli import journals, sandboxes
from cubelet.cli.sandboxes import state_name
from cubelet.cli.tables import age, columns, escaped

#: What the phases of a runtime's call mean for whoever waits for it.
_CALLS = {
    "IN_FLIGHT": "under way, the agent waits for it",
    "ABANDONED": "given up by the agent; it may still happen",
    "LOST": "its connection or the agent ended; it may still happen",
    "ANSWERED": "over, the shim has answered it",
}
_INDENT = "  "


def document(reply: ExplainResponse) -> dict[str, Any]:
    """Everything, by the names that the API has."""
    return {
        "sandbox": sandboxes.document(reply.sandbox),
        "why": reply.why,
        "next_steps": [{"what": step.what, "after_s": _after_s(step)} for step in reply.next_steps],
        "ways_out": list(reply.ways_out),
        "journal": [journals.document(entry) for entry in reply.journal],
    }


def text(reply: ExplainResponse, *, now_ns: int) -> str:
    """The state and why, then a block for each thing that there is something to say about."""
    blocks = (
        _head(reply, now_ns=now_ns),
        conditions(reply.sandbox.conditions, now_ns=now_ns),
        _operation(reply.sandbox, now_ns=now_ns),
        _question(reply.sandbox, now_ns=now_ns),
        _next(reply),
        block("WAYS OUT", [(way,) for way in reply.ways_out]),
        _journal(reply.journal, now_ns=now_ns),
    )
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _head(reply: ExplainResponse, *, now_ns: int) -> Sequence[str]:
    sandbox = reply.sandbox
    since = _since(reply)
    how_long = f" for {_age(since, now_ns=now_ns)}" if since is not None else ""
    state = state_name(sandbox.state)
    return (f"{escaped(sandbox.id)} is {state}{how_long}: {escaped(reply.why)}",)


def _since(reply: ExplainResponse) -> Timestamp | None:
    """When it came into its state, as far as the newest entries of the journal go back."""
    for entry in reversed(reply.journal):
        if entry.after == reply.sandbox.state != entry.before:
            return entry.at
    return None


def conditions(found: Iterable[Condition], *, now_ns: int) -> Sequence[str]:
    """What is remarkable about a sandbox, or the node, and since when."""
    rows = [(it.kind, f"for {_age(it.since, now_ns=now_ns)}", it.evidence) for it in found]
    return block("CONDITIONS", rows)


def _operation(sandbox: Sandbox, *, now_ns: int) -> Sequence[str]:
    if not sandbox.HasField("operation"):
        return ()
    it = sandbox.operation
    of_what = f" {it.snapshot_id}" if it.snapshot_id else ""
    rows = [
        ("asked", f"{it.kind.lower()}{of_what}, {_age(it.started_at, now_ns=now_ns)} ago"),
        ("call", _CALLS.get(it.call, it.call)),
        ("answer", it.failure or "none yet"),
        ("caller", "has been told" if it.caller_answered else "still waits"),
    ]
    if it.attempt:
        times = "once" if it.attempt == 1 else f"{it.attempt} times"
        rows.append(("since then", f"the shim was asked {times} for the outcome"))
    return block(f"OPEN OPERATION {escaped(it.id)}", rows)


def _question(sandbox: Sandbox, *, now_ns: int) -> Sequence[str]:
    if not sandbox.HasField("last_observation"):
        return block("LAST QUESTION TO THE SHIM", [("none was asked yet",)])
    it = sandbox.last_observation
    when = f"{_age(it.at, now_ns=now_ns)} ago, by {it.cause}"
    return block("LAST QUESTION TO THE SHIM", [(when, it.evidence)])


def _next(reply: ExplainResponse) -> Sequence[str]:
    rows = [(_when(step), step.what) for step in reply.next_steps]
    return block("NEXT", rows or [("nothing, by itself",)])


def _when(step: Step) -> str:
    after_s = _after_s(step)
    if after_s is None:
        return "later"
    return f"in {age(after_s)}" if after_s >= 1 else "now"


def _after_s(step: Step) -> float | None:
    return step.after.ToNanoseconds() / 1e9 if step.HasField("after") else None


def _journal(entries: Sequence[JournalEntry], *, now_ns: int) -> Sequence[str]:
    rows = [
        (f"{_age(entry.at, now_ns=now_ns)} ago", entry.cause, _change(entry), entry.detail)
        for entry in entries
    ]
    return block("JOURNAL", rows)


def _change(entry: JournalEntry) -> str:
    before, after = journals.before(entry), state_name(entry.after)
    return after if before == after else f"{before or 'new'} -> {after}"


def block(title: str, rows: Sequence[Sequence[str]]) -> Sequence[str]:
    """The lines of a title and its rows, or nothing where there are none."""
    return (title, *_indented(columns(rows))) if rows else ()


def _indented(lines: Sequence[str]) -> Iterator[str]:
    return (f"{_INDENT}{line}" for line in lines)


def _age(stamp: Timestamp, *, now_ns: int) -> str:
    return age((now_ns - stamp.ToNanoseconds()) / 1e9)

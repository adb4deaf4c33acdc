"""The labels that both wires show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cubelet.core.bindings import INVALID_BASE, Binding, Bindings, bound_to
from cubelet.core.spec import Spec
from cubelet.rpc.labels import labels_of, rfc3339_nano
from tests.unit.rpc.fakes import START_NS, make_record

RUNTIME = "cube.master.runtime.snapshot"
RESTORE = "cube.master.runtime.restore.snapshot"
AT = "2023-11-14T22:13:20"


def labels(bindings: Bindings) -> dict[str, str]:
    spec = Spec(runtime="fake", args=("x",), labels={"team": "red"})
    return labels_of(replace(make_record("s1", spec=spec), bindings=bindings))


def test_what_was_never_bound_has_its_own_labels_only() -> None:
    assert labels(Bindings()) == {"team": "red"}


def test_both_bindings() -> None:
    assert labels(bound_to("snap", at_ns=START_NS + 1, generation=1)) == {
        "team": "red",
        f"{RUNTIME}.id": "snap",
        f"{RUNTIME}.attached_at": f"{AT}.000000001Z",
        f"{RESTORE}.id": "snap",
        f"{RESTORE}.attached_at": f"{AT}.000000001Z",
    }


def test_a_binding_that_is_not_proven_is_shown_and_the_other_one_is_not_made_up() -> None:
    pending = Binding(snapshot_id="pending", attached_at_ns=START_NS, proven=False)
    assert labels(Bindings(runtime=pending)) == {
        "team": "red",
        f"{RUNTIME}.id": "pending",
        f"{RUNTIME}.attached_at": f"{AT}Z",
    }


def test_the_sentinel_stands_in_both() -> None:
    found = labels(bound_to("snap", at_ns=1, generation=1).invalidated(START_NS))
    assert found[f"{RUNTIME}.id"] == found[f"{RESTORE}.id"] == INVALID_BASE
    assert INVALID_BASE == "invalid-runtime-restore-base"
    assert found[f"{RUNTIME}.attached_at"] == f"{AT}Z"


@pytest.mark.parametrize(
    ("nanos", "fraction"),
    [
        (0, ""),
        (500_000_000, ".5"),
        (120_000_000, ".12"),
        (1_000, ".000001"),
        (999_999_999, ".999999999"),
    ],
)
def test_a_stamp_has_no_more_digits_than_it_needs(nanos: int, fraction: str) -> None:
    assert rfc3339_nano(START_NS + nanos) == f"{AT}{fraction}Z"

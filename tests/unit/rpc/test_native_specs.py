"""Specs as the native wire shows them."""

from __future__ import annotations

from cubelet.core.spec import Spec
from cubelet.rpc.native import specs
from cubelet.rpc.native.specs import spec_to_wire


def test_each_spec_has_its_own_message_however_many_there_are() -> None:
    """Kept messages are found by identity: one that was let go must not lend it to another."""
    kept = [Spec(runtime="fake", args=(str(number),)) for number in range(5)]
    for number in range(3 * specs._KEPT_MAX):
        passing = Spec(runtime="fake", args=("passing", str(number)))
        assert spec_to_wire(passing).args == ["passing", str(number)]
        of_kept = kept[number % 5]
        assert spec_to_wire(of_kept).args == [str(number % 5)]
        assert len(specs._KEPT) <= specs._KEPT_MAX


def test_the_message_of_a_spec_is_made_once() -> None:
    spec = Spec(runtime="fake", args=("sleep", "1"))
    assert spec_to_wire(spec) is spec_to_wire(spec)

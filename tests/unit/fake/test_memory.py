"""The simulated memory: what images hold, and that only the right base gives a true one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shimclient.fake.memory import PAGES, Image, Memory, Mode

pages = st.integers(0, 7)
values = st.integers(1, 1000)
writes = st.lists(st.tuples(pages, values), max_size=6)
OVERLAYS = (Mode.SOFT_DIRTY, Mode.INCREMENTAL)


def write(memory: Memory, done: list[tuple[int, int]]) -> None:
    for page, value in done:
        memory.write(page, value)


def restored(image: Image) -> dict[int, int]:
    """What a VM has that starts from the image."""
    return Memory.created_from(image).pages


@dataclass
class Vm:
    """A memory with the bases that a right-minded agent knows: by mode, None where it has none."""

    memory: Memory = field(default_factory=lambda: Memory(seed=1))
    bases: dict[Mode, Image | None] = field(default_factory=lambda: dict.fromkeys(OVERLAYS))
    catalog: list[Image] = field(default_factory=list)


class RightBases(RuleBasedStateMachine):
    """Whatever happens, a commit upon the right base restores to the contents at its time."""

    def __init__(self) -> None:
        super().__init__()
        self.vm = Vm()

    @rule(done=writes)
    def runs(self, done: list[tuple[int, int]]) -> None:
        write(self.vm.memory, done)

    @rule(mode=st.sampled_from(Mode))
    def commits(self, mode: Mode) -> None:
        vm, base = self.vm, self.vm.bases.get(mode)
        taken = vm.memory.checkpoint(mode if base else Mode.FULL, base)
        assert restored(taken) == vm.memory.pages
        assert vm.memory.holds(taken)
        vm.bases[Mode.SOFT_DIRTY] = taken
        vm.catalog.append(taken)

    @rule()
    def is_paused_and_resumed(self) -> None:
        before, generation = dict(self.vm.memory.pages), self.vm.memory.generation
        self.vm.memory.restore(self.vm.memory.private_image())
        assert (self.vm.memory.pages, self.vm.memory.generation) == (before, generation + 1)
        self.vm.bases = dict.fromkeys(OVERLAYS)

    @rule(data=st.data())
    def goes_back(self, data: st.DataObject) -> None:
        if self.vm.catalog:
            snapshot = data.draw(st.sampled_from(self.vm.catalog))
            self.vm.memory.rollback(snapshot)
            assert self.vm.memory.holds(snapshot)
            self.vm.bases = dict.fromkeys(OVERLAYS, snapshot)

    @rule()
    def is_written_down_and_taken_up(self) -> None:
        text = json.dumps(self.vm.memory.saved())
        self.vm.memory = Memory.from_saved(json.loads(text))
        assert json.dumps(self.vm.memory.saved()) == text

    @invariant()
    def the_bases_that_are_known_are_right(self) -> None:
        for mode, base in self.vm.bases.items():
            assert base is None or self.vm.memory.is_right_base(mode, base)


TestRightBases = RightBases.TestCase


@given(
    before=writes,
    between=st.lists(st.tuples(pages, values), min_size=1),
    after=writes,
    mode=st.sampled_from(OVERLAYS),
)
def test_upon_a_base_before_an_opaque_restore_what_was_written_between_is_lost(
    before: list[tuple[int, int]],
    between: list[tuple[int, int]],
    after: list[tuple[int, int]],
    mode: Mode,
) -> None:
    memory = Memory()
    write(memory, before)
    base = memory.checkpoint(Mode.FULL)
    write(memory, between)
    memory.restore(memory.private_image())
    write(memory, after)
    lost = {page for page in memory.pages if memory.pages[page] != base.pages.get(page)}
    lost -= {page for page, _ in after}
    wrong = memory.checkpoint(mode, base)
    assert {p for p in memory.pages if wrong.pages.get(p) != memory.pages[p]} == lost
    assert memory.holds(wrong) is not bool(lost)


def test_the_counterexample() -> None:
    memory = Memory()
    base = memory.checkpoint(Mode.FULL)
    memory.write(1, 11)
    memory.restore(memory.private_image())
    memory.write(2, 22)
    assert not memory.is_right_base(Mode.SOFT_DIRTY, base)
    wrong = memory.checkpoint(Mode.SOFT_DIRTY, base)
    assert restored(wrong) == {2: 22} != memory.pages
    assert not memory.holds(wrong)


def test_each_mode_has_a_base_of_its_own() -> None:
    memory = Memory.created_from(Image({1: 1}))
    memory.write(2, 2)
    first = memory.checkpoint(Mode.FULL)
    memory.write(3, 3)
    assert memory.is_right_base(Mode.SOFT_DIRTY, first)
    assert not memory.is_right_base(Mode.INCREMENTAL, first)
    assert memory.is_right_base(Mode.INCREMENTAL, Image({1: 1}))
    assert memory.image(Mode.SOFT_DIRTY, Image({})).pages == {3: 3}
    assert memory.image(Mode.INCREMENTAL, Image({})).pages == {2: 2, 3: 3}
    assert memory.image(Mode.FULL).pages == {1: 1, 2: 2, 3: 3}


def test_nothing_is_a_right_base_from_the_boot_on() -> None:
    memory = Memory()
    assert memory.is_right_base(Mode.FULL, None)
    assert not any(memory.is_right_base(mode, Image({})) for mode in OVERLAYS)
    assert not any(memory.is_right_base(mode, None) for mode in OVERLAYS)
    with pytest.raises(ValueError, match="soft-dirty needs a base"):
        memory.checkpoint(Mode.SOFT_DIRTY)


def test_a_scribble_writes_new_values_and_is_the_same_in_one_go_or_many() -> None:
    one, many, other = Memory(seed=3), Memory(seed=3), Memory(seed=4)
    one.scribble(0, 10 * PAGES + 7)
    for number in range(10 * PAGES + 7):
        many.scribble(number, number + 1)
    other.scribble(0, 10 * PAGES + 7)
    assert one.pages == many.pages
    assert len(set(one.pages.values())) == PAGES
    assert not set(one.pages.values()) & set(other.pages.values())


def test_an_image_says_what_it_was_made_of() -> None:
    memory = Memory()
    memory.write(1, 1)
    memory.restore(memory.private_image())
    base = memory.checkpoint(Mode.FULL)
    assert (base.generation, base.base, base.digest) == (1, "", memory.digest)
    memory.write(2, 2)
    assert memory.checkpoint(Mode.SOFT_DIRTY, base).base == base.digest
    assert base.digest != memory.digest

"""Where a fake shim's script comes from, what lies over what, and how a bad one is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shimclient.fake.actions import Hang, Lost, Term
from shimclient.fake.script import SCRIPT_ANNOTATION, SCRIPT_VARIABLE, ScriptError, load_script


def test_no_source_means_good_behaviour(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    script = load_script(tmp_path, {})
    assert (script.times_ms, script.failpoints, script.processes) == ({}, {}, True)


def test_later_sources_lie_over_earlier_ones(tmp_path: Path) -> None:
    (tmp_path / "fake.json").write_text('{"times": {"pause": "1s", "kill": "2s"}}')
    (tmp_path / "fake.toml").write_text('failpoints = "pause=hang"\nprocesses = false\n')
    environ = {SCRIPT_VARIABLE: '{"times": {"pause": "3s"}, "failpoints": "resume=hang"}'}
    annotation = json.dumps({"failpoints": "pause=lost", "silent_topics": ["/tasks/paused"]})
    config = {"annotations": {SCRIPT_ANNOTATION: annotation}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    script = load_script(tmp_path, environ)
    assert script.times_ms == {"pause": 3000, "kill": 2000}
    assert script.failpoints == {"pause": (Term(Lost()),), "resume": (Term(Hang()),)}
    assert not script.processes
    assert script.silent_topics == {"/tasks/paused"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "fake.json"),
        ("[]", "expected an object"),
        ('{"time": {}}', "unknown key 'time'"),
        ('{"times": {"pawse": "1s"}}', "no operation 'pawse'"),
        ('{"times": {"events": "1s"}}', "no operation 'events'"),
        ('{"times": {"pause": 5}}', "times: expected str, found int"),
        ('{"times": {"pause": "5"}}', "position 2"),
        ('{"failpoints": "pause=boo"}', "failpoints: failpoints, position 7"),
        ('{"processes": "no"}', "expected bool"),
        ('{"silent_topics": [1]}', "expected str"),
    ],
)
def test_a_bad_script_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "fake.json").write_text(text)
    with pytest.raises(ScriptError) as caught:
        load_script(tmp_path, {})
    assert str(tmp_path / "fake.json") in str(caught.value)
    assert said in str(caught.value)

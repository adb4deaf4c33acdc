"""The commands of `cubelet store`: what they print, what they exit with, what they leave alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cubelet.app import main
from cubelet.lock import StateLock
from cubelet.places import STORE_NAME
from tests.support.lives import HIDDEN, lived_store
from tests.unit.store.files import spoil

COUNTED = "2 sandboxes, 2 snapshots, 3 kept answers, 14 journal lines"
COMMANDS = (["check"], ["dump"], ["export", "out"], ["import", "in"])


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["store", *map(str, words)], env={"CUBELET_CONFIG": ""})


@pytest.fixture
async def state_dir(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    await lived_store(path / STORE_NAME)
    return path


@pytest.fixture
def config(state_dir: Path, tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(f'state_dir = "{state_dir}"\n')
    return path


def test_a_sound_store(state_dir: Path, config: Path) -> None:
    for way in (("--state-dir", state_dir), ("--config", config)):
        result = run("check", *way)
        assert (result.exit_code, result.stdout) == (0, f"good; {COUNTED}\n")


def test_a_problem_is_one_line_and_the_last_line_counts(state_dir: Path) -> None:
    spoil(state_dir / STORE_NAME, "UPDATE journal SET cause = 'a\nb' WHERE seq = 4")
    result = run("check", "--state-dir", state_dir)
    *problems, summary = result.stdout.splitlines()
    assert result.exit_code == 1
    assert any(line.startswith("journal line 4: its cause 'a\\nb' is not") for line in problems)
    assert summary.startswith(f"{len(problems)} problem")
    assert summary.endswith(COUNTED)


@pytest.mark.parametrize("command", ["check", "dump"])
def test_a_file_of_its_own_needs_no_state_directory(state_dir: Path, command: str) -> None:
    moved = (state_dir / STORE_NAME).rename(state_dir.parent / "backup.db")
    assert run(command, "--state-dir", state_dir).exit_code == 1
    result = run(command, "--file", moved)
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(one.name for one in moved.parent.iterdir()) == ["backup.db", "state"]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_while_an_agent_has_the_directory_nothing_is_done(
    state_dir: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(state_dir.parent)
    lock = StateLock(state_dir)
    result = run(*words, "--state-dir", state_dir)
    lock.release()
    assert (result.exit_code, result.stdout) == (6, "")
    assert "belongs to a running agent" in result.stderr
    assert sorted(one.name for one in state_dir.parent.iterdir()) == ["state"]


def test_its_file_is_the_agents_by_whatever_option(state_dir: Path) -> None:
    lock = StateLock(state_dir)
    result = run("check", "--file", state_dir / STORE_NAME)
    lock.release()
    assert result.exit_code == 6


def test_the_lock_is_free_again_after_it(state_dir: Path) -> None:
    StateLock(state_dir).release()
    assert run("check", "--state-dir", state_dir).exit_code == 0
    StateLock(state_dir).release()


@pytest.mark.parametrize("words", COMMANDS[:3], ids=lambda words: words[0])
def test_where_there_is_no_store_none_is_made(tmp_path: Path, words: list[str]) -> None:
    result = run(*words, "--state-dir", tmp_path / "none")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"cubelet: there is no store at {tmp_path}/none/")
    assert list(tmp_path.iterdir()) == []


def test_a_dump_masks_and_chooses(state_dir: Path) -> None:
    asked = ("--state-dir", state_dir, "--table", "sandboxes", "--table", "journal", "--limit", "2")
    rows = [json.loads(line) for line in run("dump", *asked).stdout.splitlines()]
    assert [row["table"] for row in rows] == ["sandboxes"] * 2 + ["journal"] * 2
    assert HIDDEN not in run("dump", *asked).stdout
    assert HIDDEN in run("dump", *asked, "--show-env").stdout


def test_export_and_import_are_each_others_way_back(state_dir: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "all.jsonl", tmp_path / "other"
    out = run("export", "--state-dir", state_dir, file)
    assert (out.exit_code, out.stdout) == (0, f"{file}: {COUNTED}\n")
    back = run("import", "--state-dir", other, file)
    assert (back.exit_code, back.stdout) == (0, f"{other / STORE_NAME}: {COUNTED}\n")
    assert run("check", "--state-dir", other).exit_code == 0
    again = run("import", "--state-dir", other, file)
    assert again.exit_code == 1
    assert "there is a store already" in again.stderr


def test_a_wrong_export_makes_no_store(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("garbage\n")
    result = run("import", "--state-dir", tmp_path / "state", tmp_path / "in")
    assert result.exit_code == 1
    assert f"{tmp_path}/in, line 1: not a line of an export" in result.stderr
    assert not (tmp_path / "state" / STORE_NAME).exists()


def test_a_state_directory_that_strangers_can_write_to_is_not_filled(
    state_dir: Path, tmp_path: Path
) -> None:
    run("export", "--state-dir", state_dir, tmp_path / "all.jsonl")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    result = run("import", "--state-dir", tmp_path / "open", tmp_path / "all.jsonl")
    assert result.exit_code == 1
    assert "writable by others" in result.stderr

"""The daemon's command line: what it says of this machine, and of a wrong configuration."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from cubelet.app import main
from cubelet.commandline import EXIT_BAD_CONFIG


def test_runtimes_says_of_each_whether_it_can_be_used(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[runtime]\nshim_binary = "no-such-shim"\n')
    result = CliRunner().invoke(
        main, ["runtimes", "--config", str(config), "--state-dir", str(tmp_path)]
    )
    lines = result.stdout.splitlines()
    said = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}
    assert result.exit_code == 0
    assert (said["process"], said["fake"]) == ("usable", "usable")
    assert said["shimv2"] in {
        "not usable: no-such-shim is not installed, or not in PATH",
        "not usable: needs root",
    }


def test_a_misspelt_key_is_one_line_that_names_it(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[server]\nsokcet = 1\n")
    result = CliRunner().invoke(main, ["serve", "--config", str(config)])
    assert result.exit_code == EXIT_BAD_CONFIG
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"cubelet: {config}:")
    assert "`sokcet`" in line

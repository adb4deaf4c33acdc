from __future__ import annotations

import asyncio
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cubelet.core.faults import Code, CubeletError, Reason
from cubelet.runtime import templates as module
from cubelet.runtime.templates import Templates, clear_unfinished


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    (tmp_path / "templates").mkdir()
    return Templates(tmp_path / "templates", tmp_path / "cache")


def write_tar(path: Path, *members: tarfile.TarInfo) -> Path:
    """A tar of these members; files have their name as content."""
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for one in members:
            content = one.name.encode() if one.isreg() else b""
            one.size = len(content)
            archive.addfile(one, io.BytesIO(content))
    return path


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    info.uid, info.gid = os.getuid(), os.getgid()
    return info


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def everything(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def refused(error: pytest.ExceptionInfo[CubeletError]) -> str:
    assert error.value.fault.code is Code.INVALID_ARGUMENT
    assert error.value.fault.reason is Reason.TEMPLATE_NOT_FOUND
    return error.value.fault.message


async def test_a_folder_is_used_as_it_is(templates: Templates) -> None:
    folder = templates.folder / "mini"
    folder.mkdir()
    assert await templates.lower("mini") == folder
    assert await templates.lower(str(folder)) == folder


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tgz"])
async def test_a_tar_is_unpacked_with_modes_and_links(templates: Templates, ending: str) -> None:
    write_tar(
        templates.folder / f"mini{ending}",
        entry("bin", tarfile.DIRTYPE, mode=0o755),
        entry("./bin/su", mode=0o4755),
        entry("tmp", tarfile.DIRTYPE, mode=0o1777),
        entry("sh", tarfile.SYMTYPE, link="/bin/su"),
        entry("su2", tarfile.LNKTYPE, link="bin/su", mode=0o4755),
        entry("dev/sda", tarfile.BLKTYPE),
    )
    root = await templates.lower("mini")
    assert (root / "bin/su").read_text() == "./bin/su"
    assert (root / "bin/su").stat().st_mode & 0o7777 == 0o4755
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "sh").readlink() == Path("/bin/su")
    assert (root / "su2").stat().st_ino == (root / "bin/su").stat().st_ino
    assert not (root / "dev/sda").exists()
    assert names(templates.cache) == [root.name]


async def test_a_tar_is_unpacked_once_for_all_who_come_at_once(
    templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(templates.folder / "mini.tar", entry("file"))
    unpacked = counted(monkeypatch)
    roots = await asyncio.gather(*(templates.lower("mini") for _ in range(10)))
    assert len(set(roots)) == 1
    await templates.lower("mini")
    assert len(unpacked) == 1


async def test_who_gives_up_does_not_spoil_it_for_the_others(templates: Templates) -> None:
    write_tar(templates.folder / "mini.tar", entry("file"))
    first = asyncio.create_task(templates.lower("mini"))
    second = asyncio.create_task(templates.lower("mini"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second / "file").read_text() == "file"


async def test_a_changed_tar_is_another_one(templates: Templates) -> None:
    path = write_tar(templates.folder / "mini.tar", entry("old"))
    old = await templates.lower("mini")
    path.unlink()
    write_tar(path, entry("new"))
    new = await templates.lower("mini")
    assert (old / "old").exists()
    assert [one.name for one in new.iterdir()] == ["new"]


@pytest.mark.parametrize(
    "members",
    [
        [entry("../escape")],
        [entry("a/../../escape")],
        [entry("out", tarfile.SYMTYPE, link="OUTSIDE"), entry("out/escape")],
        [entry("out", tarfile.SYMTYPE, link="OUTSIDE/escape"), entry("out")],
        [entry("out", tarfile.SYMTYPE, link="../.."), entry("out/escape")],
        [entry("hard", tarfile.LNKTYPE, link="../escape")],
    ],
)
async def test_nothing_is_written_outside(
    templates: Templates, tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for one in members:
        one.linkname = one.linkname.replace("OUTSIDE", str(outside))
    write_tar(templates.folder / "evil.tar", *members)
    with pytest.raises(CubeletError) as error:
        await templates.lower("evil")
    assert "leads out of the template" in refused(error)
    assert not everything(tmp_path) & {"escape", "hard"}
    assert names(templates.cache) == []


async def test_an_absolute_name_lands_inside(templates: Templates) -> None:
    write_tar(templates.folder / "mini.tar", entry("/etc/motd"))
    assert ((await templates.lower("mini")) / "etc/motd").exists()


async def test_what_is_no_tar_is_refused_and_leaves_nothing(templates: Templates) -> None:
    (templates.folder / "mini.tar").write_bytes(b"no tar")
    with pytest.raises(CubeletError) as error:
        await templates.lower("mini")
    assert "mini.tar cannot be unpacked" in refused(error)
    assert names(templates.cache) == []


async def test_a_tar_over_the_limit_is_refused(
    templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BYTES_MAX", 3)
    write_tar(templates.folder / "mini.tar", entry("four"))
    with pytest.raises(CubeletError) as error:
        await templates.lower("mini")
    assert "3 bytes" in refused(error)


def test_a_missing_template_says_where_it_was_looked_for(templates: Templates) -> None:
    with pytest.raises(CubeletError) as error:
        templates.find("mini")
    assert str(templates.folder / "mini") in refused(error)


@pytest.mark.parametrize("name", ["", ".", "..", "../templates", "a/b", "x" * 300, "a\0b"])
def test_a_name_is_plain_or_an_absolute_path(templates: Templates, name: str) -> None:
    with pytest.raises(CubeletError) as error:
        templates.find(name)
    refused(error)


def test_a_path_that_an_overlay_cannot_name_is_refused(templates: Templates) -> None:
    (templates.folder / "a:b").mkdir()
    with pytest.raises(CubeletError) as error:
        templates.find("a:b")
    assert "a:b" in refused(error)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every tar that is unpacked from now on."""
    unpack: Callable[[Path, Path], Path] = module._unpack
    unpacked: list[Path] = []

    def counting(tar: Path, entry: Path) -> Path:
        unpacked.append(tar)
        return unpack(tar, entry)

    monkeypatch.setattr(module, "_unpack", counting)
    return unpacked


async def test_what_a_killed_agent_had_unpacked_so_far_is_removed(templates: Templates) -> None:
    write_tar(templates.folder / "mini.tar", entry("file"))
    root = await templates.lower("mini")
    (templates.cache / ".unpacking-abc").mkdir()
    clear_unfinished(templates.cache)
    assert names(templates.cache) == [root.name]

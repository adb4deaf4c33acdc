from __future__ import annotations

from pathlib import Path

import pytest

from cubelet.runtime import mounts

_LINES = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:5 / /state/sandboxes/sb/rootfs rw - overlay overlay rw,lowerdir=/t
31 30 0:6 / /state/sandboxes/sb/rootfs/deep rw shared:1 - tmpfs tmpfs rw
32 22 0:7 / /state/sandboxes/sb2/rootfs rw - overlay overlay rw
33 22 0:8 / /state/with\\040blank/sb rw - overlay overlay rw
"""


@pytest.fixture(autouse=True)
def mountinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mountinfo"
    path.write_text(_LINES)
    monkeypatch.setattr(mounts, "_MOUNTINFO", path)


def test_the_mounts_of_one_folder_latest_first() -> None:
    assert mounts.mounts_below(Path("/state/sandboxes/sb")) == [
        "/state/sandboxes/sb/rootfs/deep",
        "/state/sandboxes/sb/rootfs",
    ]


def test_a_folder_that_is_a_mount_itself_is_one() -> None:
    assert mounts.mounts_below(Path("/state/with blank/sb")) == ["/state/with blank/sb"]


def test_nothing_is_mounted_elsewhere() -> None:
    assert mounts.mounts_below(Path("/state/sandboxes/s")) == []


def test_a_mount_that_stays_is_an_error(tmp_path: Path) -> None:
    point = tmp_path / "no-mount"
    (tmp_path / "mountinfo").write_text(f"30 22 0:5 / {point} rw - tmpfs tmpfs rw\n")
    with pytest.raises(OSError, match="no-mount"):
        mounts.unmount_below(tmp_path)

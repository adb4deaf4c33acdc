"""What a copy of the store is called."""

from __future__ import annotations

from datetime import UTC, datetime

from cubelet.core.ids import check_id
from cubelet.core.model import Now


def backup_name(asked: str, now: Now) -> str:
    """The name asked for, checked; for "" one that says when, in UTC: 20261123T071500.042Z."""
    if asked:
        return check_id(asked, "backup name")
    when = datetime.fromtimestamp(now.wall_ns // 10**9, UTC)
    return f"{when:%Y%m%dT%H%M%S}.{now.wall_ns // 10**6 % 1000:03}Z"

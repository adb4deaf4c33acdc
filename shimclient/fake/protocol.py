"""What a client and the fake shim agree upon beyond the Task API: names, options, annotations.

A rollback is asked for as CubeSandbox's Cubelet asks its shim: by Update, with two annotations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from google.protobuf.any_pb2 import Any as AnyMessage

from shimclient.api import fake_pb2
from shimclient.client import Client
from shimclient.fake.memory import Mode

CONTROL_SERVICE: Final = "shimclient.fake.v1.Control"
STATS_TYPE: Final = "shimclient.fake.v1.Stats"
CHECKPOINT_TYPE: Final = "shimclient.fake.v1.CheckpointOptions"
#: An annotation of config.json that names the folder of the snapshot which a task starts from.
SNAPSHOT_ANNOTATION: Final = "shimclient.fake/snapshot"
UPDATE_ACTION: Final = "cube.shimapi.update.action"
ROLLBACK_ACTION: Final = "RollbackSnapshot"
ROLLBACK_CONFIG: Final = "cube.shimapi.update.rollback.restore_config"
_URL_PREFIX: Final = "file://"


async def true_status(
    client: Client, task_id: str, *, local_timeout_s: float | None
) -> fake_pb2.StatusReply:
    """What the VM really does; answered also while an operation holds it. Raises ShimError."""
    request = fake_pb2.StatusRequest(id=task_id)
    return await client.call(
        CONTROL_SERVICE, "Status", request, fake_pb2.StatusReply, local_timeout_s=local_timeout_s
    )


def checkpoint_options(
    mode: Mode,
    *,
    base: Path | None = None,
    generation: int | None = None,
    check_base: bool = False,
) -> AnyMessage:
    """Options of Checkpoint, whose path is the folder for the image; `base` is another such."""
    options = fake_pb2.CheckpointOptions(
        mode=mode,
        base="" if base is None else str(base),
        generation=generation,
        check_base=check_base,
    )
    return AnyMessage(type_url=CHECKPOINT_TYPE, value=options.SerializeToString())


def rollback_annotations(folder: Path) -> dict[str, str]:
    """Annotations of the Update that goes back to the snapshot in a folder."""
    config = {"source_url": f"{_URL_PREFIX}{quote(str(folder))}"}
    return {UPDATE_ACTION: ROLLBACK_ACTION, ROLLBACK_CONFIG: json.dumps(config)}


def rollback_source(annotations: Mapping[str, str]) -> Path:
    """The folder that `rollback_annotations` was given. Raises ValueError."""
    config = json.loads(annotations.get(ROLLBACK_CONFIG, "null"))
    url = config.get("source_url") if isinstance(config, dict) else None
    if not isinstance(url, str) or not url.startswith(f"{_URL_PREFIX}/"):
        raise ValueError(f"no source_url like file:///FOLDER in {ROLLBACK_CONFIG}")
    return Path(unquote(url.removeprefix(_URL_PREFIX)))

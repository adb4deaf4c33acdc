"""The store's series are those of the store and the engine that the agent runs."""

from __future__ import annotations

from pathlib import Path

from cubelet.app import _metrics
from cubelet.engine.health import Health
from cubelet.engine.ports import StoreFailed
from cubelet.store.sqlite import SqliteStore
from tests.contract.store.samples import change
from tests.support.engine import LoopClock


async def test_they_are_what_engine_and_store_count(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "cubelet.db", boot_id="b", now_ns=1)
    health = Health(LoopClock(), works_again=lambda: None)
    registry = _metrics(store, health).registry
    before = registry.get_sample_value("cubelet_store_transactions_total")
    await store.commit(change("box"))
    assert registry.get_sample_value("cubelet_store_transactions_total") == (before or 0) + 1
    assert registry.get_sample_value("cubelet_store_degraded") == 0
    health.refused(StoreFailed("full", cause="SQLITE_FULL"), changes=1)
    assert registry.get_sample_value("cubelet_store_degraded") == 1
    failed = {"cause": "SQLITE_FULL"}
    assert registry.get_sample_value("cubelet_store_failures_total", failed) == 1
    health.retained = 7
    store.writer.refused = 5
    assert registry.get_sample_value("cubelet_store_rows_dropped_total") == 7
    assert registry.get_sample_value("cubelet_store_turned_away_total") == 5
    await store.close()

"""What a scrape shows of the store is what is so at that moment."""

from __future__ import annotations

from prometheus_client import generate_latest

from cubelet.obs.metrics import Metrics
from cubelet.obs.store_series import StoreFigures


def test_the_stores_series_are_read_when_they_are_asked_for() -> None:
    failures: dict[str, int] = {}
    figures = {"degraded": 0, "transactions": 0, "turned_away": 0, "retained": 0}
    metrics = Metrics()
    metrics.watch_store(
        StoreFigures(
            degraded=lambda: bool(figures["degraded"]),
            failures=lambda: failures,
            transactions=lambda: figures["transactions"],
            turned_away=lambda: figures["turned_away"],
            retained=lambda: figures["retained"],
        )
    )
    assert shown(metrics) == {
        "cubelet_store_degraded 0.0",
        "cubelet_store_transactions_total 0.0",
        "cubelet_store_turned_away_total 0.0",
        "cubelet_store_rows_dropped_total 0.0",
    }
    failures.update(SQLITE_FULL=2, OTHER=1)
    figures.update(degraded=1, transactions=30, turned_away=4, retained=50)
    assert shown(metrics) == {
        "cubelet_store_degraded 1.0",
        'cubelet_store_failures_total{cause="SQLITE_FULL"} 2.0',
        'cubelet_store_failures_total{cause="OTHER"} 1.0',
        "cubelet_store_transactions_total 30.0",
        "cubelet_store_turned_away_total 4.0",
        "cubelet_store_rows_dropped_total 50.0",
    }


def shown(metrics: Metrics) -> set[str]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {line for line in lines if line.startswith("cubelet_store_")}

"""Run folders as `barograph run` writes them, made from a generator: for tests of what reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from barograph.metrics.excursions import Seen, with_excursions
from barograph.metrics.measure import measure
from barograph.metrics.trips import round_trips

CONFIG = 'name = "fake"\n[strategy]\nuse = "somewhere:filter"\nnote = "a < b & </script>"\n'


def closes(bars: int, freq: str = "B") -> pd.Series:
    days = pd.date_range("1999-01-04", periods=bars, freq=freq, tz="UTC")
    hour = pd.Timedelta(hours=21) if freq == "B" else pd.Timedelta(0)
    return pd.Series(days + hour).astype("datetime64[us, UTC]")


def fake_tables(bars: int, states: int, assets: int, trading: bool, seed: int) -> dict[str, pd.DataFrame]:
    """A regime-switching market held when it is calm, with the costs and the fills that belong to it."""
    rng = np.random.default_rng(seed)
    ts = closes(bars)
    state = np.cumsum(rng.random(bars) < 0.01) % 2
    market = rng.normal(np.where(state == 0, 6e-4, -4e-4), np.where(state == 0, 0.007, 0.02))
    held = np.where(state == 0, 1.0, 0.0) if trading else np.zeros(bars)
    if states == 1 and trading:
        held = np.ones(bars)
    change = np.abs(np.diff(held, prepend=0.0))
    growth = np.cumprod(np.r_[1.0, 1 + (held[:-1] * market[1:])] * (1 - 0.0005 * change))
    money, index = 1e5 * growth, 1e5 * np.cumprod(np.r_[1.0, 1 + market[1:]])
    weights = {f"weight_{name}": held / assets for name in ["SPY", *(f"A{i}" for i in range(1, assets))]}
    fees = 0.0005 * change * money
    equity = pd.DataFrame(
        {"ts": ts, "equity": money, "cash": money * (1 - held), "gross": held, "net": held, "fees": fees}
        | {"financing": 0.0}
        | weights
    )
    at = np.flatnonzero(change)
    at = at[at > 0] if len(at) else at
    fills = pd.DataFrame(
        {
            "order_id": np.arange(len(at)),
            "ts": ts.iloc[at].reset_index(drop=True),
            "asset": "SPY",
            "quantity": np.diff(held, prepend=0.0)[at] * 1000.0,
            "price": index[at] / 1000,
            "fee": fees[at],
            "slippage": 0.0002 * money[at],
            "reason": "as wanted",
        }
    ).astype({"asset": "str"})
    doubt = np.clip(0.9 + 0.1 * rng.standard_normal(bars), 0.55, 1)
    calm = np.where(state == 0, doubt, 1 - doubt)
    rest = {f"p_{k}": (1 - calm) / max(states - 1, 1) for k in range(1, states)}
    regime = np.where(state == 0, 0, states - 1)
    beliefs = pd.DataFrame({"ts": ts, "p_0": calm if states > 1 else 1.0} | rest | {"regime": regime, "logpdf": 3.0})
    orders = pd.DataFrame(
        {
            "id": fills["order_id"],
            "ts": fills["ts"],
            "asset": fills["asset"],
            "kind": "market",
            "weight": 1.0,
            "status": "filled",
            "quantity": fills["quantity"],
            "reason": "as wanted",
            "end_ts": fills["ts"],
            "asked": np.nan,
            "limit": np.nan,
            "stop": np.nan,
            "trail": np.nan,
            "life": "GTC",
            "until": pd.Series(pd.NaT, index=fills.index, dtype="datetime64[us, UTC]"),
            "role": "entry",
            "parent": 0,
            "group": 0,
            "tag": 0,
        }
    )
    if len(orders) > 2:
        orders.loc[1, ["status", "reason", "quantity"]] = ["cancelled", "no volume in this bar", 0.0]
    if len(orders) > 6:
        leg = ["limit", np.nan, "expired", 0.0, "its day is over", -100.0, 95.0, "take_profit"]
        orders.loc[2, ["kind", "weight", "status", "quantity", "reason", "asked", "limit", "role"]] = leg
        spared = ["stop", np.nan, "cancelled", 0.0, "nothing left to protect", -100.0, 90.0, "stop_loss"]
        orders.loc[4, ["kind", "weight", "status", "quantity", "reason", "asked", "stop", "role"]] = spared
        orders.loc[3, ["weight", "asked", "reason", "quantity"]] = [np.nan, 80.0, "less than one lot", 50.0]
    benchmark = pd.DataFrame({"ts": ts, "equity": index})
    marks = {"SPY": float(index[-1] / 1000)}
    prices = pd.DataFrame({"ts": ts} | {name.replace("weight", "close"): index / 1000 for name in weights})
    column = (index / 1000)[:, None]
    seen = Seen(ts.dt.tz_localize(None).to_numpy(), ("SPY",), column * 1.01, column * 0.99, column)
    trades = with_excursions(round_trips(fills, marks), fills[:0], seen)
    return {
        "equity": equity,
        "beliefs": beliefs,
        "orders": orders,
        "fills": fills,
        "events": fake_events(ts) if trading else fake_events(ts)[:0],
        "trades": trades,
        "benchmark": benchmark,
        "prices": prices,
    }


def fake_events(ts: pd.Series) -> pd.DataFrame:
    """One of each kind of event, where there are bars for them."""
    told = [
        ("dividend", "SPY", 0, 100.0, 1.5, ""),
        ("split", "SPY", 0, 200.0, 2.0, ""),
        ("guard", "", 0, 0.21, 0.2, "drawdown limit"),
        ("released", "", 0, 0.1, 0.2, "drawdown limit"),
        ("margin_warning", "", 0, 3.4, 9e4, "margin call"),
        ("margin_call", "", 0, 4.2, 8e4, "margin call"),
        ("triggered", "SPY", 3, 0.0, 95.0, ""),
        ("delisted", "A9", 0, 10.0, 12.0, "the asset is delisted"),
    ]
    if len(ts) < 100:
        told = []
    rows = [(ts.iloc[10 * n + 5], *row) for n, row in enumerate(told)]
    columns = ["ts", "event", "asset", "order_id", "quantity", "price", "reason"]
    kinds = {"ts": "datetime64[us, UTC]", "event": "str", "asset": "str", "order_id": "int64", "reason": "str"}
    return pd.DataFrame(rows, columns=columns).astype(kinds | {"quantity": "float64", "price": "float64"})


def fake_fits(ts: pd.Series, states: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    fits = []
    for n, row in enumerate(range(min(500, len(ts) // 2), len(ts), 250)):
        stay = np.clip(np.linspace(0.995, 0.97, states) + 0.003 * rng.standard_normal(states), 0, 0.999)
        transition = np.full((states, states), 0.0)
        for k in range(states):
            transition[k] = (1 - stay[k]) / max(states - 1, 1)
            transition[k, k] = stay[k]
        spread = np.linspace(0.007, 0.02, states) * np.exp(0.1 * rng.standard_normal(states))
        match = {"permutation": list(range(states)), "convincing": n != 3, "cost": 0.2, "margin": 2.0}
        fits.append(
            {
                "ts": ts.iloc[row].isoformat(),
                "first": ts.iloc[0].isoformat(),
                "last": ts.iloc[row].isoformat(),
                "observations": row,
                "converged": n != 5,
                "log_likelihood": 3.1 * row,
                "asked": "schedule",
                "refused": "",
                "match": None if n == 0 else match | {"message": "regime 1 looks like neither of the two before"},
                "summary": {
                    "means": [[0.0005]] * states,
                    "volatilities": [[v] for v in spread.tolist()],
                    "transition": transition.tolist(),
                    "degeneracies": [],
                },
            }
        )
    return fits


def fake_run(
    folder: Path,
    bars: int = 2000,
    states: int = 2,
    assets: int = 1,
    trading: bool = True,
    seed: int = 0,
    bounds: dict[str, Any] | None = None,
) -> Path:
    """Write a whole run folder as `barograph run` would."""
    folder.mkdir(parents=True)
    tables = fake_tables(bars, states, assets, trading, seed)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    metrics: dict[str, Any] = dict(measure(tables, 252)) | ({} if bounds is None else {"bounds": bounds})
    finding = {"code": "gap", "severity": "warning", "file": "data/spy.csv", "row": 77, "ts": None}
    finding |= {"column": "close", "value": 12.5, "message": "3 sessions without a bar"}
    manifest = {
        "name": f"fake-{folder.name}",
        "data": {"symbols": ["SPY"], "traded": ["SPY"], "source": "a generator", "calendar": "XNYS", "periods": 252.0},
        "findings": [finding] if states > 1 else [],
        "seed": 0,
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "fits.json").write_text(json.dumps(fake_fits(tables["equity"]["ts"], states) if states > 1 else []))
    (folder / "config.toml").write_text(CONFIG)
    return folder

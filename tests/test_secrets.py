"""A config full of secrets goes through every command: not one of them is printed, logged, stored or reported."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import Done, barograph

SECRETS = {
    "data key": "SeCreT-data-key",
    "data password": "SeCreT-data-password",
    "data token": "SeCreT-data-token",
    "feed key": "SeCreT-feed-key",
    "feed password": "SeCreT-feed-password",
    "mail password": "SeCreT-mail-password",
    "hook token": "SeCreT-hook-token",
    "hook path": "SeCreT-hook-path",
    "broker key": "SeCreT-broker-key",
    "broker secret": "SeCreT-broker-secret",
    "database password": "SeCreT-database-password",
}

PARTS = """
import time
import numpy as np
from barograph.errors import FeedError
from barograph.data.history import History
from barograph.types import Feed

DAY = 86_400_000_000_000

def bars(api_key: str, url: str, until_days_ago=0):
    last = time.time_ns() // DAY - until_days_ago
    ts = np.arange(last - 60, last + 1) * DAY
    return History.from_arrays(ts, 100.0 + np.arange(61) % 7, symbols=["A"], calendar="24/7", source="bars")

def refused(key, url):
    def fetch(after, until):
        raise FeedError(f"refused: HTTP 401 from {url}?symbol=A&api_key={key}")
    return Feed("refused", fetch)

def broken(key, url):
    def fetch(after, until):
        raise RuntimeError(f"GET {url} with {key}")
    return Feed("broken", fetch)
"""

CONFIG = """
name = "secretive"

[data]
use = "secret_parts:bars"
api_key = "SeCreT-data-key"
url = "https://me:SeCreT-data-password@example.org/bars?token=SeCreT-data-token"
until_days_ago = 1

[strategy]
use = "tests.fakes.market:scripted"
weights = [0.5, 0.8]

[paper]
store = "sqlite:///paper.db"
feeds = [
    { use = "secret_parts:refused", key = "SeCreT-feed-key", url = "https://me:SeCreT-feed-password@example.org" },
    { use = "secret_parts:broken", key = "${FEED_KEY}", url = "https://me:SeCreT-feed-password@example.org" },
    { use = "secret_parts:bars", api_key = "SeCreT-feed-key", url = "https://me:SeCreT-feed-password@example.org" },
]

[[paper.alerts.to]]
name = "mail"
url = "mailto://me:SeCreT-mail-password@localhost:1/?from=me@example.org&to=you@example.org"

[[paper.alerts.to]]
url = "json://127.0.0.1:1/SeCreT-hook-path/?+X-Token=${HOOK_TOKEN}"
"""

BROKER = """
[paper.broker]
use = "barograph_adapters.brokers.testnet:testnet"
name = "binance"
symbols = ["A/USDT"]
key = "${TESTNET_KEY}"
secret = "${TESTNET_SECRET}"
loopback = "127.0.0.1:1"
tries = 1
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BAROGRAPH_STORE", raising=False)
    for name, secret in {
        "FEED_KEY": "feed key",
        "HOOK_TOKEN": "hook token",
        "TESTNET_KEY": "broker key",
        "TESTNET_SECRET": "broker secret",
        "DATABASE_PASSWORD": "database password",
    }.items():
        monkeypatch.setenv(name, SECRETS[secret])
    (tmp_path / "secret_parts.py").write_text(PARTS)
    (tmp_path / "secretive.toml").write_text(CONFIG)
    (tmp_path / "mirrored.toml").write_text(CONFIG.replace('"secretive"', '"mirrored"') + BROKER)
    return tmp_path


class Ran:
    """What was printed so far."""

    def __init__(self) -> None:
        self.printed: list[tuple[str, Done]] = []

    def __call__(self, *words: Any, code: int = 0) -> Done:
        done = barograph(*words)
        self.printed.append((" ".join(map(str, words)), done))
        assert done.returncode == code, done
        return done


def leaks(folder: Path, printed: list[tuple[str, Done]]) -> list[str]:
    """Return what was said of which secret where: in all that was printed, and in every byte of every file."""
    ours = {"secret_parts.py", "secretive.toml", "mirrored.toml", "wrong.toml"}
    files = [p for p in folder.rglob("*") if p.is_file() and p.name not in ours and "__pycache__" not in p.parts]
    texts = {words: (done.stdout + done.stderr).encode() for words, done in printed}
    texts |= {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return [f"{name} in {where}" for where, text in texts.items() for name, s in SECRETS.items() if s.encode() in text]


def test_no_secret_is_printed_logged_stored_or_reported(place: Path) -> None:
    ran = Ran()
    ran("paper", "secretive.toml", "--new", "--once")
    ran("paper", "secretive.toml", "--once", "--json")
    first = str((time.time_ns() - 30 * 86_400 * 10**9) // 10**9)
    assert first
    ran("paper", "secretive.toml", "--replay", "20", code=3)
    ran("paper", "secretive.toml", "--replay", time.strftime("%Y-%m-%d", time.gmtime(int(first))))
    for words in (["status", "secretive"], ["status", "secretive", "--json"], ["parity", "secretive"]):
        ran(*words)
    ran("store", "verify")
    ran("store", "backup", "copy.db")
    ran("paper", "list", "--json")
    ran("halt", "secretive")
    ran("run", "secretive.toml")
    ran("alerts", "test", "secretive.toml", code=12)
    ran("config", "schema")
    # What went wrong was told, and where: only not the secrets.
    told = "".join(done.stdout + done.stderr for _, done in ran.printed)
    assert "refused failed: refused: HTTP 401 from https://***@example.org?symbol=A&api_key=***" in told
    assert "broken failed: raised RuntimeError (secret_parts.py, line " in told
    assert leaks(place, ran.printed) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            'url = "mailto://me:SeCreT-mail-password@localhost:1/?from=me@example.org&to=you@example.org"',
            'url = ["json://me:SeCreT-hook-token@h"]',
        ),
        (
            'url = "mailto://me:SeCreT-mail-password@localhost:1/?from=me@example.org&to=you@example.org"',
            'url = "tgrm://SeCreT-hook-token/1"',
        ),
        ('api_key = "SeCreT-data-key"', 'api_kye = "SeCreT-data-key"'),
        ('store = "sqlite:///paper.db"', 'store = ["postgresql://me:SeCreT-database-password@h/p"]'),
        ('store = "sqlite:///paper.db"', 'store = "mysql://me:SeCreT-database-password@h/p"'),
        ('store = "sqlite:///paper.db"', 'store = "postgresql+psycopg://me:SeCreT-database-password@127.0.0.1:1/p"'),
        ('store = "sqlite:///paper.db"', 'store = "postgresql+psycopg://me:${DATABASE_PASSWORD}@127.0.0.1:1/p"'),
        ("until_days_ago = 1", 'until_days_ago = "SeCreT-data-key"'),
        ('url = "https://me:SeCreT-data-password', "url = 5 #"),
        ('[[paper.alerts.to]]\nname = "mail"', '[[paper.alerts.too]]\nname = "mail"'),
    ],
)
def test_no_error_repeats_a_secret(old: str, new: str, place: Path) -> None:
    assert old in CONFIG
    (place / "wrong.toml").write_text(CONFIG.replace(old, new))
    ran = Ran()
    done = barograph("paper", "wrong.toml", "--new", "--once")
    assert done.returncode != 0
    assert done.stderr.startswith("barograph: ")
    assert done.stderr.count("\n") == 1
    assert leaks(place, [("paper wrong.toml", done), *ran.printed]) == []


def test_a_broker_that_cannot_be_reached_tells_no_key(place: Path) -> None:
    done = barograph("paper", "mirrored.toml", "--new", "--once")
    assert leaks(place, [("paper mirrored.toml", done)]) == []
    (place / "wrong.toml").write_text(CONFIG + BROKER.replace("${TESTNET_KEY}", "SeCreT-broker-key"))
    done = barograph("paper", "wrong.toml", "--new", "--once", "--name", "written-out")
    assert done.returncode in (2, 13)
    assert leaks(place, [("paper wrong.toml", done)]) == []

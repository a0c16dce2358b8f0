"""What columns are called in other languages and by terminals: proposed to people, never taken in silence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from barograph.data.table import plain

__all__ = ["called", "some"]

_WORDS: Final[dict[str, str]] = {
    "time": "day datum data fecha tarih dato päivämäärä дата 日期 日付 날짜 交易日期 时间 時間 时间戳 trade_date "
    "trading_day trade_time observation_date price_date date_time open_time opentime start_time "
    "ts t dates unnamed:_0",
    "open": "o openprice open_price opening opening_price px_open apertura abertura preço_de_abertura "
    "eröffnung eröffn. eröffnungskurs erster eröffnungspreis ouverture ouv. "
    "openingskoers openen açılış avaus открытие откр. 开盘 开盘价 開盤 開盤價 開盤価 始値 시가 first",
    "high": "h highprice high_price px_high máximo máxima maximo maxima máx. hoch höchst höchstkurs "
    "tageshoch haut plus_haut max max. massimo hoog hoogste yüksek ylin "
    "макс. максимум 最高 最高价 最高價 高値 고가",
    "low": "l lowprice low_price px_low mínimo mínima minimo minima mín. tief tiefst tiefstkurs "
    "tagestief bas plus_bas min min. laag laagste düşük alin мин. минимум 最低 最低价 最低價 安値 저가",
    "close": "c last last_price lastprice closing closing_price close_price closeprice close/last px_last "
    "px_close price settle settlement settlement_price nav value cierre último ultimo fechamento "
    "schluss schlusskurs schlusspreis letzter zuletzt kurs clôture cloture cours dernier "
    "fermeture chiusura slot slotkoers laatst laatste kapanış şimdi son päätös цена закрытие "
    "закр. 收盘 收盘价 收盤 收盤價 終値 종가",
    "volume": "v vol vol. px_volume volumen volumes volym volumi hacim hac. umsatz_stück stück stücke "
    "stuecke umsatz_(stück) quantity qty shares totaltradedquantity tottrdqty объём объем 成交量 出来高 "
    "거래량",
}
_PARTS: Final = {word: part for part, words in _WORDS.items() for word in words.split()}
_UNITS: Final = frozenset(("stück", "stücke", "stuecke", "umsatz_stück", "umsatz_(stück)", "quantity", "qty", "shares"))
_SHOWN: Final = 12


def called(names: Iterable[object], known: Iterable[str] = ()) -> dict[str, str]:
    """Return which columns are likely to play which part, but for those that are `known`; two for one part are none.

    >>> called(["Datum", "Schlusskurs", "Stück", "Hoch", "High"], known=["high"])
    {'time': 'Datum', 'close': 'Schlusskurs', 'volume': 'Stück'}
    >>> called(["Last", "Price"])
    {}
    """
    found: dict[str, list[str]] = {}
    for name in map(str, names):
        part = _PARTS.get(plain(name))
        if part is not None and part not in known:
            found.setdefault(part, []).append(name)
    # Of two volumes the one in units is meant, not the one in money.
    units = [name for name in found.get("volume", []) if plain(name) in _UNITS]
    found |= {"volume": units} if units else {}
    return {part: own[0] for part in _WORDS if len(own := found.get(part, [])) == 1}


def some(names: Iterable[object]) -> str:
    """Return names for people, and how many more there are.

    >>> some(range(14))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more'
    """
    every = [str(name) for name in names]
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more

"""Excel files, read by the extra `excel`: cells keep their kinds, one of several sheets is chosen."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from barograph.errors import DataError
from barograph_adapters.files import bars, look
from tests.extras import wants

wants("excel", "python_calamine")

ROWS = [["My prices"], [], ["Date", "Open", "High", "Low", "Close", "Volume"],
        ["d45474", 15.1, 15.5, 15.0, 15.259, 1000], ["d45475", 15.2, 15.75, 15.1, 15.3, 1500]]  # fmt: skip
OPEN = "http://schemas.openxmlformats.org"
MAIN, LINKS = f"{OPEN}/spreadsheetml/2006/main", f"{OPEN}/officeDocument/2006/relationships"
STYLES = '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'


def cell(value: object, at: str) -> str:
    if isinstance(value, str) and value.startswith("d4"):
        return f'<c r="{at}" s="1"><v>{value[1:]}</v></c>'
    if isinstance(value, str):
        return f'<c r="{at}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f'<c r="{at}"><v>{value}</v></c>'


def sheet(rows: list[list[object]]) -> str:
    lines = [
        f'<row r="{r}">' + "".join(cell(v, f"{chr(65 + c)}{r}") for c, v in enumerate(row)) + "</row>"
        for r, row in enumerate(rows, 1)
    ]
    return f'<worksheet xmlns="{MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'


def link(name: str, kind: str, target: str) -> str:
    return f'<Relationship Id="{name}" Type="{LINKS}/{kind}" Target="{target}"/>'


def workbook(**sheets: list[list[object]]) -> bytes:
    """Write the least that is a workbook; a text "d45474" is that day."""
    listed = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, 1))
    links = "".join(link(f"r{n}", "worksheet", f"worksheets/s{n}.xml") for n in range(1, 1 + len(sheets)))
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{OPEN}/package/2006/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{OPEN}/package/2006/relationships">'
        + link("w", "officeDocument", "xl/workbook.xml")
        + "</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{OPEN}/package/2006/relationships">{links}'
        + link("s", "styles", "styles.xml")
        + "</Relationships>",
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}">{STYLES}</styleSheet>',
        **{f"xl/worksheets/s{n}.xml": sheet(rows) for n, rows in enumerate(sheets.values(), 1)},
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue()


def test_a_sheet_keeps_what_its_cells_are(tmp_path: Path) -> None:
    path = tmp_path / "abc.xlsx"
    path.write_bytes(workbook(Prices=ROWS, Empty=[]))  # type: ignore[arg-type]
    history = bars(path)
    # 15.259 is a number there, and needs no proof.
    assert history.close[:, 0].tolist() == [15.259, 15.3]
    assert [history.when(0), history.when(1)] == ["2024-07-01", "2024-07-02"]
    assert ("file", "Excel, sheet 'Prices'") in look(path).lines


def test_one_of_several_sheets_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "abc.xlsx"
    path.write_bytes(workbook(Notes=[["nothing"]], Prices=ROWS))  # type: ignore[arg-type]
    assert len(bars(path, sheet="Prices")) == 2
    for words, told in (({}, "it has the sheets Notes, Prices; choose one"), ({"sheet": "Price"}, "no sheet 'Price'")):
        with pytest.raises(DataError, match=told):
            bars(path, **words)


def test_a_broken_workbook_is_told(tmp_path: Path) -> None:
    (tmp_path / "abc.xls").write_bytes(b"\xd0\xcf\x11\xe0" * 200)
    with pytest.raises(DataError, match=r"abc\.xls: cannot be read"):
        bars(tmp_path / "abc.xls")

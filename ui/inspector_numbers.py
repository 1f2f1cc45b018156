"""Numbers of a figure as CSV: units in the header, and nothing a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

import numpy as np

from rwkv_core.inspection import Floats


def csv_text(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Write a table.

    Args:
        header: names of the columns, with units.
        rows: numbers and texts.
    """
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(header)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return file.getvalue()


def by_token_and_layer(values: Floats, labels: Sequence[str], quantity: str, first: int = 0) -> str:
    """Write (L, T) values, one row per token.

    Args:
        values: one measure per layer and token.
        labels: T readable tokens.
        quantity: what was measured, with its unit.
        first: position of the first token.
    """
    layers = (f"layer {i + 1}: {quantity}" for i in range(len(values)))
    rows = ((first + t + 1, label, *cells(values[:, t])) for t, label in enumerate(labels))
    return csv_text(("position (token)", "token", *layers), rows)


def by_index(values: Floats, names: Sequence[str], quantity: str) -> str:
    """Write an array of any shape, one row per number, its indices counted from 1."""
    rows = (
        (*(i + 1 for i in index), cell(float(values[index]))) for index in np.ndindex(values.shape)
    )
    return csv_text((*names, quantity), rows)


def cells(values: Floats) -> list[float | None]:
    """Round each number as `cell` does."""
    return [cell(float(value)) for value in values]


def cell(value: float) -> float | None:
    """Round to six digits, more than float32 holds honestly; nothing where nothing was measured."""
    return None if np.isnan(value) else float(f"{value:.6g}")


def _harmless(value: object) -> object:
    """Keep a spreadsheet from running a token such as "=" as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@" and value else value

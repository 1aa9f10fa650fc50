"""Any CSV as a table to learn from: its separator, its encoding, and the classes of its target."""

import csv
import sys
from pathlib import Path

import pandas as pd

CLASSES_MAX = 20
ROWS_OF_A_CLASS_MIN = 8  # so that a class is in both parts
SAMPLE_BYTES = 64 * 1024


def read(path: Path, target: str) -> tuple[pd.DataFrame, str]:
    """The rows whose target can be learnt, and what was done to have them, in words."""
    encoding = _encoding(path)
    table = pd.read_csv(path, sep=_separator(path, encoding), encoding=encoding, low_memory=False)
    if target not in table.columns:
        sys.exit(f"{path} has no column {target!r}; it has {', '.join(map(str, table.columns))}")
    known = table.dropna(subset=[target])
    labels, notes = _classes(known[target])
    if len(known) < len(table):
        notes.append(f"{len(table) - len(known)} rows without {target} are left out")
    kept = known.loc[labels.index].assign(**{target: labels})
    return kept, "; ".join(notes)


def _classes(values: pd.Series) -> tuple[pd.Series, list[str]]:
    """Its values as class names; a number with many values becomes the side of its median."""
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > CLASSES_MAX:
        median = values.median()
        above = (values > median).map({True: f"above {median:g}", False: f"up to {median:g}"})
        return above, [f"{values.name} is a number: learning whether it is above {median:g}"]
    counts = values.value_counts()
    rare = counts[counts < ROWS_OF_A_CLASS_MIN]
    kept = values[~values.isin(rare.index)].astype(str)
    if not 2 <= kept.nunique() <= CLASSES_MAX:
        sys.exit(
            f"{values.name} has {kept.nunique()} values with at least {ROWS_OF_A_CLASS_MIN} rows "
            f"each; the tour learns from 2 to {CLASSES_MAX} classes. Choose another --target."
        )
    notes = [f"{rare.sum()} rows of {len(rare)} rare classes are left out"] if len(rare) else []
    return kept, notes


def _encoding(path: Path) -> str:
    """UTF-8 (with or without its mark), else the one in which every byte is a letter."""
    try:
        with path.open(encoding="utf-8-sig") as source:
            while source.read(SAMPLE_BYTES):
                pass
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _separator(path: Path, encoding: str) -> str:
    with path.open(encoding=encoding, newline="") as source:
        header = source.readline(SAMPLE_BYTES)
    try:
        return csv.Sniffer().sniff(header, delimiters=",;\t|").delimiter
    except csv.Error:  # one column
        return ","

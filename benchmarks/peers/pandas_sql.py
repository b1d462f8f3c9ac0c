"""pandas answers the questions of `sql_speed.py` from a run's Parquet files: QUESTION RUN REPLAY."""

import pandas as pd
from sql_answers import CURRENT, NUM_FILTERS, REPLAY, ROOT, answer


def read(table: str, *columns: str, where: list[tuple[str, str, object]] | None = None) -> pd.DataFrame:
    """Some columns of a table, as Arrow strings, which are pandas' fastest; `where` is done while reading."""
    return pd.read_parquet(ROOT / table, columns=list(columns), filters=where, dtype_backend="pyarrow")


def documents(*columns: str) -> pd.DataFrame:
    """The documents that are not stale: imported, or of a current brief and its context."""
    rows = read("documents", "brief_id", "context_hash", *columns)
    current = read("briefs", "brief_id", "context_hash", where=[("pass_hash", "==", CURRENT)])
    matched = rows[["brief_id", "context_hash"]].merge(current.assign(matches=True), how="left")
    return rows[rows.brief_id.isna() | matched.matches.fillna(value=False)]


def gave_way() -> pd.Series:
    """Duplicates that are not kept."""
    pairs = read("duplicates", "doc_id", "survivor_id")
    return pairs.doc_id[pairs.doc_id != pairs.survivor_id]


def kept_by(num_filters: int, *where: tuple[str, str, object]) -> pd.Series:
    """Ids that so many filters keep."""
    counts = read("verdicts", "doc_id", where=[("outcome", "==", "keep"), *where]).doc_id.value_counts(sort=False)
    return counts.index[counts == num_filters].to_series()


def is_curated(doc_ids: pd.Series) -> pd.Series:
    """Which documents are curated."""
    return doc_ids.isin(kept_by(NUM_FILTERS)) & ~doc_ids.isin(gave_way())


def funnel() -> list[list[object]]:
    """Documents and chats of each step."""
    rows = documents("doc_id")
    counts = {
        "briefs": len(read("briefs", "kind", where=[("kind", "==", "document"), ("pass_hash", "==", CURRENT)])),
        "written": rows.brief_id.notna().sum(),
        "written and imported": len(rows),
        "curated": is_curated(rows.doc_id).sum(),
        "mixed": rows.doc_id.isin(read("mixes", "doc_id").doc_id).sum(),
    }
    return [[step, int(count), 0] for step, count in counts.items()]


def coverage() -> list[list[object]]:
    """Briefs, documents and curated documents of each clause and genre."""
    clauses = read("clauses", "ordinal", "label", "path", "clause_id", "split", "kind")
    clauses = clauses[(clauses.split == "train") & clauses.kind.isin(["rule", "value"])]
    clauses["clause"] = clauses.label.fillna(clauses.path.map(lambda path: path[-1]))
    written = documents("doc_id", "genre", "clause_ids")
    written = written[written.brief_id.notna()]
    counted = {
        "briefs": read(
            "briefs", "genre", "clause_ids", where=[("kind", "==", "document"), ("pass_hash", "==", CURRENT)]
        ),
        "documents": written,
        "curated": written[is_curated(written.doc_id)],
    }
    sizes = {
        name: rows[["clause_ids", "genre"]].explode("clause_ids").groupby(["clause_ids", "genre"]).size()
        for name, rows in counted.items()
    }
    asked = pd.DataFrame(sizes).fillna(0).reset_index()
    found = clauses.merge(asked, how="left", left_on="clause_id", right_on="clause_ids")
    found = found.sort_values(["ordinal", "genre", "clause_id"]).astype(
        {"briefs": int, "documents": int, "curated": int, "ordinal": int}
    )
    columns = ["ordinal", "clause", "genre", "briefs", "documents", "curated", "clause_id"]
    return found[columns].to_numpy(dtype=object).tolist()


def threshold_replay() -> list[list[object]]:
    """What would be curated with another threshold."""
    mine = [("scorer", "==", REPLAY["scorer"]), ("name", "==", REPLAY["name"])]
    scored = read("scores", "doc_id", "value", where=mine)
    rows = documents("doc_id", "set", "genre").merge(scored, how="left", on="doc_id")
    rows["passes"] = (rows.value >= REPLAY["at_least"]).fillna(value=False)
    others = kept_by(NUM_FILTERS - 1, ("filter", "!=", REPLAY["scorer"]))
    survives = ~rows.doc_id.isin(gave_way())
    rows["curated"] = rows.doc_id.isin(kept_by(NUM_FILTERS)) & survives
    rows["then"] = rows.passes & rows.doc_id.isin(others) & survives
    found = rows.groupby(["set", "genre"], as_index=False).agg(
        rows=("doc_id", "size"), scored=("value", "count"), passes=("passes", "sum"),
        curated=("curated", "sum"), then=("then", "sum"),
    )  # fmt: skip
    found = found.sort_values(["rows", "set", "genre"], ascending=[False, True, True])
    columns = ["rows", "scored", "passes", "curated", "then"]
    found = found.astype(dict.fromkeys(columns, int))
    return found[["set", "genre", *columns]].to_numpy(dtype=object).tolist()


if __name__ == "__main__":
    answer({"funnel": funnel, "coverage": coverage, "threshold_replay": threshold_replay})

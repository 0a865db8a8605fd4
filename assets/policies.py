"""What all assets share besides partitions: owner, retries, freshness, when a run may still write, and how a table
describes itself to Dagster.
"""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from resources.policy import forbidden, refusal
from resources.settings import Settings
from warehouse.contracts import load_tables, table

OWNER = "team:upswell"

retry = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)
"""For steps that may find the warehouse held by another process; bad input is a `Failure` that is not retried."""

nightly = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))
"""For what the nightly refresh rebuilds."""


def run_guard(context: dg.AssetExecutionContext) -> Callable[[], None]:
    """A function that raises once the step's run has ended, to be called inside the transaction that writes.

    A run that was marked failed or canceled may live on as a process; what it decides is no longer wanted.
    """

    def guard() -> None:
        run = context.instance.get_run_by_id(context.run_id)
        if run is None or run.is_finished:
            state = "was deleted" if run is None else f"has ended ({run.status.value.lower()})"
            raise dg.Failure(f"run {context.run_id} {state}: it writes nothing any more", allow_retries=False)

    return guard


def describe(full_name: str) -> dict[str, Any]:
    """`description`, `kinds`, `owners` and column metadata of the asset that stands for a declared table."""
    declared = table(full_name)
    return {
        "description": declared.description,
        "kinds": {"duckdb"},
        "owners": [OWNER],
        "metadata": columns_metadata(full_name),
    }


def stage_asset(full_name: str, *deps: str) -> dict[str, Any]:
    """What the asset of a table that is worked out in one go hands to `dg.asset`.

    Args:
        full_name: The table; its schema is the asset's group.
        deps: Tables that come before, besides those that the columns are made from.
    """
    return {
        "key": full_name.split("."),
        "group_name": full_name.split(".")[0],
        "deps": [*upstream(full_name), *(dep.split(".") for dep in deps)],
        "retry_policy": retry,
        "code_version": "1",
        "pool": "cpu",
        **describe(full_name),
    }


def columns_metadata(full_name: str) -> dict[str, Any]:
    """A table's name, columns and column lineage in the form that Dagster's UI reads."""
    declared = table(full_name)
    schema = dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.type,
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=not column.required),
            )
            for column in declared.columns
        ]
    )
    deps = {
        column.name: [
            dg.TableColumnDep(
                asset_key=dg.AssetKey(source.rsplit(".", 1)[0].split(".")), column_name=source.rsplit(".", 1)[1]
            )
            for source in column.sources
        ]
        for column in declared.columns
        if column.sources
    }
    metadata: dict[str, Any] = {"dagster/column_schema": schema, "dagster/table_name": full_name}
    if deps:
        metadata["dagster/column_lineage"] = dg.TableColumnLineage(deps)
    return metadata


def upstream(full_name: str) -> list[dg.AssetKey]:
    """The assets that the columns of a table are made from."""
    tables = {source.rsplit(".", 1)[0] for column in table(full_name).columns for source in column.sources}
    return [dg.AssetKey(name.split(".")) for name in sorted(tables) if name != full_name and name in load_tables()]


def left_out(settings: Settings, sources: Iterable[str]) -> dict[str, Any]:
    """The sources that no figure may be made from, for an asset's metadata; nothing where there are none."""
    refused = [
        {"source": source, "why": refusal(settings.policies, source)}
        for source in forbidden(settings.policies, sources)
    ]
    return {"left out by their rules": markdown(refused)} if refused else {}


def markdown(rows: Sequence[Mapping[str, object]]) -> dg.MarkdownMetadataValue:
    """Rows as a Markdown table for an asset's metadata."""
    if not rows:
        return dg.MetadataValue.md("nothing")
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = [
            f"{value:,.4g}" if isinstance(value, float) else "" if value is None else str(value)
            for value in row.values()
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return dg.MetadataValue.md("\n".join(lines))


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG for an asset's metadata."""
    return dg.MetadataValue.md(f"![chart](data:image/png;base64,{base64.b64encode(png).decode()})")

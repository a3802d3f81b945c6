"""A number as the page gets it: what kind it is, and how it came about."""

from __future__ import annotations

from typing import Any

from litellama.footprint.facts import Fact


def figure(value: float | bool | None, kind: str, how: str, **values: object) -> dict[str, Any]:
    """One number with its kind (computed, published, derived, estimated, measured, chosen) and, as a key of the strings
    with `values` to fill in, how it came about. `low`, `high` and `sources` are added by whoever knows them."""
    return {"value": value, "kind": kind, "how": how, "values": values}


def published(fact: Fact) -> dict[str, Any]:
    """A fact's number with its unit and its source."""
    shown = figure(fact.number, fact.status, "compare.how_published", quantity=f"{fact.subject}: {fact.quantity}")
    return shown | {"unit": fact.unit, "sources": [source(fact)]}


def source(fact: Fact) -> dict[str, str]:
    """Where to look a fact up."""
    where = fact.source
    return {"title": where.title, "url": where.url, "locator": where.locator, "note": fact.note}

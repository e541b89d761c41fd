"""Dashboards of Grafana as data: laid out and numbered the same each time, so that a change shows as a change."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Dashboard", "Panel", "PanelKind", "Query", "Row", "Variable"]

_COLUMNS = 24
_SCHEMA_VERSION = 39  # Grafana 10.4; newer ones migrate it
_DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


class PanelKind(StrEnum):
    """How values are shown."""

    TIME_SERIES = "timeseries"
    STAT = "stat"
    TABLE = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One expression and what its series are called, as ``{{cluster}}``."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture. ``thresholds`` are values with the colour that begins there; ``meaning`` is its help text."""

    title: str
    queries: Sequence[Query]
    kind: PanelKind = PanelKind.TIME_SERIES
    unit: str = "short"
    width: int = 12
    height: int = 8
    meaning: str = ""
    thresholds: Sequence[tuple[float, str]] = ()
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels below a title."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """What is chosen at the top: the values of a label."""

    name: str
    label: str
    query: str  # label_values(metric, label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard; ``id`` names its file and its address, for ever."""

    id: str
    title: str
    meaning: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()
    tags: Sequence[str] = ()

    @property
    def file_name(self) -> str:
        """Where it is written."""
        return f"dbre-{self.id}.json"

    @property
    def uid(self) -> str:
        """Its address in Grafana: the same in every installation, so that links hold."""
        return hashlib.sha256(f"dbre/{self.id}".encode()).hexdigest()[:14]

    @property
    def text(self) -> str:
        """The bare dashboard, as file provisioning reads it."""
        return json.dumps(self._document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def expressions(self) -> Iterator[str]:
        """Every expression, with the variables in it filled in as Grafana does before it asks."""
        for row in self.rows:
            for panel in row.panels:
                for query in panel.queries:
                    yield _filled(query.expression)

    def _document(self) -> dict[str, Any]:
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.meaning,
            "tags": ["dbre", *self.tags],
            "schemaVersion": _SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "browser",
            "links": [{"type": "dashboards", "title": "dbre", "tags": ["dbre"], "asDropdown": True, "keepTime": True}],
            "templating": {"list": [_data_source_variable(), *map(_variable, self.variables)]},
            "annotations": {"list": [_operations()]},
            "panels": list(_laid_out(self.rows)),
        }


def _filled(expression: str) -> str:
    return expression.replace("$__rate_interval", "5m").replace("$__range", "1h")


def _data_source_variable() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0}


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": _DATA_SOURCE,
        "definition": variable.query,
        "query": {"query": variable.query, "refId": variable.name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _operations() -> dict[str, Any]:
    """Alerts drawn over every graph."""
    return {
        "name": "SLO alerts",
        "datasource": _DATA_SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": "max by (slo, cluster, rule) (dbre_slo_alert_firing) == 1",
        "step": "60s",
        "titleFormat": "{{slo}} on {{cluster}}",
        "textFormat": "{{rule}}",
    }


def _laid_out(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    number, top = 1, 0
    for row in rows:
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        number, top, left, tallest = number + 1, top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                top, left, tallest = top + tallest, 0, 0
            yield _panel(panel, number, {"x": left, "y": top, "w": panel.width, "h": panel.height})
            number, left, tallest = number + 1, left + panel.width, max(tallest, panel.height)
        top += tallest


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    is_now = panel.kind is not PanelKind.TIME_SERIES
    steps: list[dict[str, object]] = [{"color": "green" if panel.thresholds else "text", "value": None}]
    steps += [{"color": color, "value": value} for value, color in panel.thresholds]
    limits = {key: value for key, value in (("min", panel.minimum), ("max", panel.maximum)) if value is not None}
    return {
        "id": number,
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _DATA_SOURCE,
        "gridPos": place,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _DATA_SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend or "__auto",
                "instant": is_now,
                "range": not is_now,
                "format": "table" if panel.kind is PanelKind.TABLE else "time_series",
            }
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}, **limits},
            "overrides": [],
        },
        "options": _options(panel.kind),
    }


def _options(kind: PanelKind) -> dict[str, Any]:
    if kind is PanelKind.STAT:
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none", "textMode": "auto"}
    if kind is PanelKind.TABLE:
        return {"showHeader": True, "cellHeight": "sm"}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}

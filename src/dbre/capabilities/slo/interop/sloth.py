"""Sloth's ``prometheus/v1`` files and its Kubernetes resource ``PrometheusServiceLevel``."""

import re
from decimal import Decimal
from typing import Any, Self

from pydantic import AliasChoices, Field, model_validator

from dbre.capabilities.slo.interop.model import CarriedOver, Defaults, Findings, ForeignObject, percent
from dbre.capabilities.slo.interop.naming import slo_name
from dbre.capabilities.slo.interop.placing import judged
from dbre.capabilities.slo.interop.promql import counter_of
from dbre.core.config import Document
from dbre.core.config.problems import Place
from dbre.core.config.tree import Branch, Listing
from dbre.core.errors import UsageError

__all__ = ["SlothSlo", "import_sloth"]

_NAME = r"^[A-Za-z0-9][-A-Za-z0-9_.]*[A-Za-z0-9]$|^[A-Za-z0-9]$"
_WINDOW = re.compile(r"\{\{\s*\.window\s*\}\}")


def _both(snake: str, camel: str) -> AliasChoices:
    return AliasChoices(snake, camel)


class SlothEvents(Document):
    """Two queries that give rates of errors and of all events."""

    error_query: str = Field(min_length=1, validation_alias=_both("error_query", "errorQuery"))
    total_query: str = Field(min_length=1, validation_alias=_both("total_query", "totalQuery"))

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for key, query in (("error_query", self.error_query), ("total_query", self.total_query)):
            if not _WINDOW.search(query):
                raise UsageError(f"{key} does not hold {{{{.window}}}}", hint="write rate(metric[{{.window}}])")
        if " ".join(self.error_query.split()) == " ".join(self.total_query.split()):
            raise UsageError(
                "error_query and total_query are the same: every event would be an error", hint="count errors in one of them"
            )
        return self


class SlothRaw(Document):
    """One query that gives a ratio of errors."""

    error_ratio_query: str = Field(min_length=1, validation_alias=_both("error_ratio_query", "errorRatioQuery"))


class SlothPlugin(Document):
    """A query made by a plugin of Sloth."""

    id: str
    options: dict[str, Any] = Field({})


class SlothSli(Document):
    """Exactly one of the three."""

    events: SlothEvents | None = None
    raw: SlothRaw | None = None
    plugin: SlothPlugin | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(one is not None for one in (self.events, self.raw, self.plugin)) != 1:
            raise UsageError("an SLI has exactly one of events, raw and plugin", hint="keep one of them")
        return self


class SlothAlert(Document):
    """A page or a ticket."""

    disable: bool = False
    for_: str | None = Field(None, alias="for")
    labels: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None


class SlothAlerting(Document):
    """How alerts are named and labelled."""

    name: str = ""
    labels: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None
    page_alert: SlothAlert = Field(SlothAlert(), validation_alias=_both("page_alert", "pageAlert"))
    ticket_alert: SlothAlert = Field(SlothAlert(), validation_alias=_both("ticket_alert", "ticketAlert"))

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.name and not (self.page_alert.disable and self.ticket_alert.disable):
            raise UsageError("alerting.name is missing", hint="name the alert, or disable page_alert and ticket_alert")
        return self


class SlothSlo(Document):
    """One SLO of a file."""

    name: str = Field(pattern=_NAME, max_length=128)
    description: str | None = None
    objective: Decimal = Field(gt=0, le=100)
    labels: dict[str, Any] | None = None
    sli: SlothSli
    alerting: SlothAlerting
    plugins: Any = None


class SlothFile(Document):
    """A whole file."""

    version: str = "prometheus/v1"
    service: str = Field(pattern=_NAME, max_length=128)
    labels: dict[str, Any] | None = None
    slo_plugins: Any = Field(None, validation_alias=_both("slo_plugins", "sloPlugins"))
    slos: list[SlothSlo] = Field(min_length=1)


def import_sloth(one: ForeignObject, defaults: Defaults, findings: Findings) -> None:
    """Carry every SLO of a file over."""
    node = one.node
    if one.dialect == "sloth-kubernetes":
        spec = node.entries.get("spec")
        if not isinstance(spec, Branch):
            findings.refuse(node.place, "PrometheusServiceLevel.spec is missing", "write service and slos below spec")
            return
        node = spec
    file = judged(node, SlothFile, name="sloth", problems=findings.problems)
    if file is None:
        return
    listing = node.entries["slos"]
    places = [below.place for below in listing.items] if isinstance(listing, Listing) else []
    if file.slo_plugins or file.labels:
        what = " and ".join(word for word, is_given in (("labels", file.labels), ("plugins", file.slo_plugins)) if is_given)
        findings.lose(node.place, f"{what} of the service {file.service} are not carried over")
    for slo, place in zip(file.slos, places, strict=True):
        _import_one(file.service, slo, place, defaults, findings)


def _import_one(service: str, slo: SlothSlo, place: Place, defaults: Defaults, findings: Findings) -> None:
    name = slo_name(f"{service}-{slo.name}", place, findings)
    if slo.objective <= 1:
        hint = f"did you mean {(slo.objective * 100).normalize():f}?"
        findings.refuse(place, f"{name}: objective {slo.objective} is in percent, so that almost everything may fail", hint)
        return
    sli = _sli(name, slo.sli, place, defaults, findings)
    if sli is None:
        return
    alerting = slo.alerting
    if alerting.page_alert.for_ or alerting.ticket_alert.for_:
        findings.lose(place, f"{name}: `for` of alerts is not carried over: the short window says that errors go on")
    routed = (alerting.labels, alerting.annotations, alerting.page_alert.labels, alerting.ticket_alert.labels)
    if any(routed):
        findings.lose(place, f"{name}: labels and annotations of alerts are not carried over", "route alerts under `channels`")
    document: dict[str, object] = {
        "name": name,
        **({"description": slo.description[:1050]} if slo.description else {}),
        "selector": dict(defaults.selector),
        "sli": sli,
        "target": percent(slo.objective / 100),
        "window": {"rolling": "30d"},
    }
    silent = {"page": alerting.page_alert.disable, "ticket": alerting.ticket_alert.disable}
    if any(silent.values()):
        document["alerts"] = [rule for rule in _RULES if not silent[str(rule["severity"])]]
    findings.slos.append(CarriedOver(document, place))


_RULES: tuple[dict[str, object], ...] = (
    {"severity": "page", "budget": "2%", "long": "1h"},
    {"severity": "page", "budget": "5%", "long": "6h"},
    {"severity": "ticket", "budget": "10%", "long": "1d"},
    {"severity": "ticket", "budget": "10%", "long": "3d"},
)


def _sli(name: str, sli: SlothSli, place: Place, defaults: Defaults, findings: Findings) -> dict[str, object] | None:
    if sli.events is None:
        what = "a ratio of its own query" if sli.raw else f"the plugin {sli.plugin.id if sli.plugin else ''}"
        findings.lose(
            place, f"{name}: its SLI is {what}, and no events can be counted from it", "write an SLI by hand", is_whole=True
        )
        return None
    bad, total = counter_of(sli.events.error_query), counter_of(sli.events.total_query)
    for key, query in (("error_query", bad), ("total_query", total)):
        if query is None:
            findings.lose(
                place,
                f"{name}: {key} is more than the sum of rates of one selector",
                "write counters alone under sli.bad and sli.total; dbre sums their increases",
                is_whole=True,
            )
    if bad is None or total is None:
        return None
    return {"kind": "prometheus", "server": defaults.server, "bad": bad, "total": total}

"""Our SLOs as OpenSLO: everything comes back, and the fields say the same to other tools."""

from decimal import Decimal
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dbre.capabilities.slo.documents import SloDocument
from dbre.capabilities.slo.interop.exporting import openslo_objects, openslo_text
from dbre.capabilities.slo.interop.importing import import_text
from dbre.capabilities.slo.interop.model import Defaults
from dbre.capabilities.slo.interop.openslo import ANNOTATION
from dbre.core.config import document_text

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?", fullmatch=True)
words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)
slis: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"kind": st.just("availability"), "purpose": st.sampled_from(["write", "read", "replica"])}),
    st.builds(lambda ms: {"kind": "latency", "query_class": "read", "threshold": f"{ms}ms"}, st.integers(1, 60_000)),
    st.builds(lambda m: {"kind": "freshness", "max_age": f"{m}m"}, st.integers(1, 600)),
    st.builds(lambda a, b: {"kind": "events", "match": {"db.system": [a, b]}, "group_by": "tenant"}, words, words),
    st.builds(lambda a: {"kind": "prometheus", "server": "main", "bad": f'x{{a="{a}"}}', "total": "x"}, names),
    st.builds(lambda q, n: {"kind": "sql", "query": f"SELECT '{q}'", "limit": n}, words, st.integers(0, 10**6)),
    st.builds(lambda s: {"kind": "service", "service": s}, names),
)
windows = st.one_of(
    st.builds(lambda days: {"rolling": f"{days}d"}, st.integers(7, 400)),
    st.builds(lambda unit, zone: {"calendar": unit, "time_zone": zone}, st.sampled_from(["week", "month", "quarter", "year"]),
              st.sampled_from(["UTC", "Europe/Madrid"])),
)  # fmt: skip
rules = st.lists(
    st.builds(
        lambda severity, factor, hours: {"severity": severity, "factor": f"{factor}", "long": f"{hours}h", "name": f"r{hours}"},
        st.sampled_from(["page", "ticket"]), st.decimals("0.5", "9", places=2), st.integers(1, 72),
    ),
    max_size=3, unique_by=lambda rule: rule["name"],
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> SloDocument:
    plain: dict[str, Any] = {
        "name": draw(names),
        "description": draw(st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=60)).strip(),
        "selector": {"cluster": draw(st.one_of(names, st.lists(names, min_size=1, max_size=3)))},
        "sli": draw(slis),
        "target": f"{draw(st.decimals('50', '98.9', places=3))}%",
        "window": draw(windows),
    }
    if draw(st.booleans()):
        plain["alerts"] = draw(rules)
    else:
        plain["target"] = f"{draw(st.decimals('99', '99.99', places=3))}%"
    if draw(st.booleans()):
        plain["policies"] = {"low_traffic_guard": draw(st.booleans()), "no_data": "ticket"}
    if draw(st.booleans()):
        plain |= {"method": "timeslices", "time_slices": {"length": "1m", "target": "95%"}}
    try:
        return SloDocument.model_validate(plain)
    except ValidationError:  # a rule that this target cannot reach
        return SloDocument.model_validate({**plain, "alerts": []})


@settings(max_examples=50, deadline=None)
@given(st.lists(documents(), min_size=1, max_size=3, unique_by=lambda one: one.name))
def test_what_is_exported_comes_back_unchanged(given_documents: list[SloDocument]) -> None:
    found = import_text(openslo_text(given_documents), Defaults())
    assert [one.definition() for one in found.documents] == [one.definition() for one in given_documents]
    assert found.lost == ()


@settings(max_examples=30, deadline=None)
@given(documents())
def test_every_export_is_valid_openslo_without_our_annotation(document: SloDocument) -> None:
    assume(document.alerts != [])  # OpenSLO cannot say that nobody is told
    (exported,) = openslo_objects([document])
    del exported["metadata"]["annotations"][ANNOTATION]
    found = import_text(document_text(exported), Defaults(selector={"cluster": "orders"}))  # raises where a rule is broken
    kind = document.definition().sli.source.kind
    if kind in ("prometheus", "sql"):
        (again,) = found.documents
        assert (again.target, again.method, again.sli.sli().source.as_document()) == (
            document.target, document.method, {**document.sli.sli().source.as_document()},
        )  # fmt: skip
    else:
        assert "its data source is dbre" in found.left_out[0].message


def test_fields_of_openslo_say_what_ours_say() -> None:
    document = SloDocument.model_validate(
        {
            "name": "writes",
            "selector": {"cluster": "orders"},
            "sli": {"kind": "prometheus", "server": "main", "bad": "bad_total", "total": "all_total"},
            "target": "99.9%",
            "window": {"calendar": "month", "time_zone": "Europe/Madrid"},
            "method": "timeslices",
            "time_slices": {"length": "5m", "target": "95%"},
        }
    )
    (exported,) = openslo_objects([document], service="shop")
    spec = exported["spec"]
    assert (exported["apiVersion"], exported["kind"], exported["metadata"]["name"]) == ("openslo/v1", "SLO", "writes")
    assert spec["service"] == "shop"
    assert spec["budgetingMethod"] == "Timeslices"
    assert spec["objectives"] == [{"target": 0.999, "timeSliceTarget": 0.95, "timeSliceWindow": "5m"}]
    assert spec["timeWindow"] == [
        {"duration": "1M", "isRolling": False, "calendar": {"startTime": "2024-01-01 00:00:00", "timeZone": "Europe/Madrid"}}
    ]
    conditions = [one["spec"]["conditions"][0]["spec"] for one in spec["alertPolicies"]]
    assert [(one["severity"], one["condition"]["lookbackWindow"]) for one in conditions] == [
        ("page", "1h"), ("page", "6h"), ("ticket", "1d"), ("ticket", "3d"),
    ]  # fmt: skip
    assert document.target == Decimal("0.999")

"""Resilience reports: what they tell, in which words, and that text of others is never markup."""

from dataclasses import replace

from resilience_kit import at, made_run

from dbre.capabilities.chaos.runs.model import RunState
from dbre.capabilities.chaos.runs.report import report_of
from dbre.capabilities.chaos.runs.writing import as_html, as_markdown

HOSTILE = "<script>alert(1)</script>|`x`\x1b[31m https://evil.example www.evil.example"
BAD = {
    "probe": HOSTILE,
    "good": 1,
    "bad": 9,
    "first_bad": HOSTILE,
    "first_bad_at": at(2),
    "longest_seconds": 9.0,
    "holds": False,
}
SLOS = {
    "before": [
        {"slo": "writes@orders", "objective_ratio": 0.999, "good": 100, "total": 100, "ratio": 1.0, "remaining_ratio": 0.9}
    ],
    "during": [
        {"slo": "writes@orders", "objective_ratio": 0.999, "good": 50, "total": 60, "ratio": 0.83, "remaining_ratio": 0.7}
    ],
    "after": [{"slo": "writes@orders", "objective_ratio": 0.999, "good": 9, "total": 9, "ratio": 1.0, "remaining_ratio": 0.7}],
    "incidents": [],
}


def test_it_tells_what_was_lost_what_it_cost_and_what_became_worse() -> None:
    clients = {"lost": 3, "overlap": 0, "outage_seconds": 8.0}
    run = replace(made_run(2, state=RunState.DEVIATED, during=[BAD], clients=clients), surroundings=SLOS)
    found = report_of(run, made_run(1))
    assert next((one["severity"], one["summary"]) for one in found["findings"]) == (
        "critical",
        "3 acknowledged writes were lost, 0 may be",
    )
    assert all(one["remedy"] for one in found["findings"])
    (slo,) = found["slos"]
    assert (slo["bad_during"], round(slo["budget_spent_ratio"], 6), slo["during_ratio"]) == (10, 0.2, 0.83)
    assert found["detection"]["seconds"] == 1.0
    assert found["recovery"] == {"outage_seconds": 8.0, "recovery_seconds": 1.0, "objective_seconds": 60.0}
    changes = {one["what"]: one["word"] for one in found["comparison"]["changes"]}
    assert changes == {"score": "worse", "recovery": "same"}


def test_text_of_others_is_never_markup() -> None:
    run = replace(made_run(during=[BAD], state=RunState.DEVIATED), title=HOSTILE)
    found = report_of(run, None)
    html, markdown = as_html(found), as_markdown(found)
    assert "<script" not in html
    assert "\x1b" not in html + markdown
    assert "<" not in markdown.replace("\\<", "")
    assert "https:" not in markdown
    assert "www.evil" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| ") and "during" in line]
    assert [line.replace("\\|", "").count("|") for line in rows] == [5]


def test_a_run_that_was_stopped_says_nothing_of_the_cluster() -> None:
    found = report_of(made_run(state=RunState.STOPPED, reason="somebody wanted an end", revert_seconds=0.2), None)
    assert found["score"] is None
    assert found["comparison"] is None
    assert "somebody wanted an end" in found["findings"][0]["summary"]


def test_each_gate_has_its_own_remedy_and_what_clients_could_not_tell_is_told() -> None:
    clients = {"verdict": "unknown", "warnings": ["they were not heard"]}
    run = made_run(state=RunState.DEVIATED, revert_seconds=11.0, clients=clients)
    document = {**run.experiment, "clients": {}}
    found = {one["summary"]: one["remedy"] for one in report_of(replace(run, experiment=document), None)["findings"]}
    assert "injector" in found["ending it took 11.0 s"]
    assert any("not known" in one and "they were not heard" in one for one in found)
    assert not any("not known" in one["summary"] for one in report_of(run, None)["findings"]), "nobody had asked for clients"


def test_one_and_many_are_told_apart() -> None:
    for count, words in ((1, "1 acknowledged write was lost, 0 may be"), (2, "2 acknowledged writes were lost, 0 may be")):
        found = report_of(made_run(state=RunState.DEVIATED, clients={"lost": count, "anomalies": count}), None)
        told = [one["summary"] for one in found["findings"]]
        assert told[0] == words
        assert f"clients saw {count} anomal{'y' if count == 1 else 'ies'}" in told


def test_what_nobody_counted_is_no_budget_that_lasted() -> None:
    nothing = [{"slo": "reads@orders", "objective_ratio": 0.999, "good": 0, "total": 0, "ratio": None, "remaining_ratio": None}]
    run = replace(made_run(), surroundings={"before": nothing, "during": nothing, "after": nothing, "incidents": []})
    text = as_markdown(report_of(run, made_run(1)))
    assert "| SLOs of which nothing was counted | 1 |" in text
    assert "| the hypothesis held | yes | yes |" in text
    assert "budgets lasted" not in text
    assert "2026-11-01 12:00:00 UTC to 2026-11-01 12:00:12 UTC" in text
    assert "No findings." in text
    assert "nobody noticed" in text
    counted = as_markdown(report_of(replace(made_run(), surroundings=SLOS), None))
    assert "the hypothesis held and budgets lasted" in counted
    assert "nothing was counted" not in counted


def test_a_page_needs_nothing_else() -> None:
    clients = {"lost": 0, "phantom": 4, "duplicate": None, "stale": 0, "overlap": 0, "outage_seconds": 8.0}
    html = as_html(report_of(made_run(clients=clients, during=[{**BAD, "probe": "there is one primary"}]), None))
    assert all(one not in html for one in ("href=", "src=", "url(", "<link", "<script"))
    assert "<td>writes that are there though nobody heard so</td><td>4</td>" in html
    assert "<td>writes that are there twice</td><td>not known</td>" in html
    assert "1 of 10 held, it failed for 9.0s at most; first: " in html

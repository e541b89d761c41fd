"""From what was seen to the story: checks, budgets, the timeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dbre.demo.pager import Pager
from dbre.demo.scenario import Counts
from dbre.demo.story import BudgetRow, Mark, Span, Story
from dbre.demo.verdict import Act, Check, judge_act, judge_page, judge_steady_state
from dbre.lab import LoadReport
from dbre.lab.load import LedgerAudit

__all__ = ["Documents", "Evidence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What the control plane's API said at the end."""

    slos: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]  # oldest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that was seen, from both sides."""

    calm: Counts
    acts: Sequence[Act]
    load: LoadReport
    audit: LedgerAudit
    pager: Pager
    documents: Documents

    def story(self, *, server: str, started_at: datetime, ended_at: datetime, wall_seconds: float) -> Story:
        """Judge and arrange it."""
        page = next(iter(self.pager.pages()), None)
        bad_since = self._first_bad()
        fired_at = _moment(page.data["fired_at"]) if page else None
        return Story(
            started_at=started_at,
            ended_at=ended_at,
            server=server,
            acts=self.acts,
            budgets=[_budget(one) for one in self.documents.slos],
            checks=self._checks(bad_since),
            spans=self._spans(ended_at),
            marks=self._marks(),
            page_delivery_seconds=(page.received_at - fired_at).total_seconds() if page and fired_at else None,
            detection_seconds=(page.received_at - bad_since).total_seconds() if page and bad_since else None,
            wall_seconds=wall_seconds,
        )

    def _checks(self, bad_since: datetime | None) -> list[Check]:
        pages = self.pager.pages()
        calm = self.calm
        checks = [
            judge_steady_state(
                bad_slots=calm.bad_slots,
                slots=calm.slots,
                client_failed=calm.client_failed,
                client_operations=calm.client_operations,
            )
        ]
        for act in self.acts:
            checks += judge_act(act)
        checks.append(
            judge_page(
                pages=len(pages),
                unsigned=sum(not one.is_signed for one in self.pager.deliveries),
                bad_since=bad_since,
                received_at=pages[0].received_at if pages else None,
                fault_at=self.acts[0].fault_at,
            )
        )
        lost, kept = len(self.audit.lost), len(self.load.ledger.acknowledged)
        checks.append(
            Check(promise="no acknowledged write was lost", is_kept=not lost and kept > 0, evidence=f"{lost} lost of {kept}")
        )
        return checks

    def _first_bad(self) -> datetime | None:
        turned = [one for one in self.documents.events if one["kind"] == "observe.endpoint_bad"]
        moments = [_moment(one["data"].get("scheduled_at") or one["at"]) for one in turned]
        after = [moment for moment in moments if moment >= self.acts[0].fault_at]
        return min(after, default=None)

    def _spans(self, ended_at: datetime) -> list[Span]:
        spans = [Span(lane="fault", start=act.fault_at, end=act.cleared_at, label=act.fault) for act in self.acts]
        spans += [
            Span(
                lane="clients: writes fail",
                start=one.started_at,
                end=one.ended_at,
                label=f"{one.failed_operations} failed: {one.reason}",
            )
            for one in self.load.writes.outages
        ]
        for purpose in ("write", "read", "replica"):
            spans += self._bad_spans(purpose, ended_at)
        return spans

    def _bad_spans(self, purpose: str, ended_at: datetime) -> list[Span]:
        spans, since, code = [], None, ""
        for event in self.documents.events:
            data = event["data"]
            if data.get("purpose") != purpose or event["kind"] not in ("observe.endpoint_bad", "observe.endpoint_good"):
                continue
            moment = _moment(data.get("scheduled_at") or event["at"])
            if event["kind"] == "observe.endpoint_bad":
                since, code = moment, str(data.get("code"))
            elif since is not None:
                spans.append(Span(lane=f"prober: {purpose} bad", start=since, end=moment, label=code))
                since = None
        if since is not None:
            spans.append(Span(lane=f"prober: {purpose} bad", start=since, end=ended_at, label=code))
        return spans

    def _marks(self) -> list[Mark]:
        marks = [Mark(at=_moment(one["at"]), label="alert fires") for one in self.documents.events if _is_page(one)]
        return marks + [Mark(at=one.received_at, label="page arrives") for one in self.pager.pages()]


def _is_page(event: Mapping[str, Any]) -> bool:
    return bool(event["kind"] == "slo.alert_fired" and event["data"].get("severity") == "page")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _budget(slo: Mapping[str, Any]) -> BudgetRow:
    return BudgetRow(
        name=str(slo["name"]),
        description=str(slo["description"]),
        target=f"{float(slo['objective_ratio']) * 100:g} % in {slo['window']['text']}",
        good=int(slo["good"]),
        bad=int(slo["bad"]),
        total=int(slo["total"]),
        consumed_ratio=float(slo["budget"]["consumed_ratio"]),
        remaining_seconds=float(slo["budget"]["remaining_seconds"]),
        telemetry=str(slo["telemetry_state"]),
    )

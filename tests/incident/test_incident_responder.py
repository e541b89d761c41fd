"""Alerts become incidents: opened, joined, ended and opened again, however events arrive."""

from datetime import timedelta

from incident_kit import START, IncidentWorld

from dbre.capabilities.incident.desk import NewIncident
from dbre.capabilities.incident.model import Severity
from dbre.capabilities.incident.states import IncidentState


async def _whole_life(world: IncidentWorld) -> None:
    world.impact.began_at = START - timedelta(minutes=3)
    await world.fire()
    (one,) = await world.incidents()
    assert (one.name, one.state, one.severity, one.cluster, one.slo) == (
        "INC-1",
        IncidentState.DETECTED,
        Severity.SEV1,  # tier 0, burn rate 20
        "orders",
        "writes",
    )
    assert (one.started_at, one.detected_at) == (START - timedelta(minutes=3), START)
    await world.clock.advance(60)
    await world.desk().acknowledge("1")
    await world.clock.advance(60)
    await world.end()
    monitored = await world.incident()
    assert (monitored.state, monitored.assignee, monitored.mitigated_at) == (
        IncidentState.MONITORING,
        "alice",
        START + timedelta(minutes=2),
    )
    await world.clock.advance(599)
    assert await world.responder.end_quiet() == 0
    await world.clock.advance(2)
    assert await world.responder.end_quiet() == 1
    ended = await world.incident()
    assert (ended.state, ended.resolved_at) == (IncidentState.RESOLVED, START + timedelta(minutes=2))  # not ten minutes later
    kinds = [one.kind for one in await world.events()]
    assert kinds == ["incident.opened", "incident.acknowledged", "incident.updated", "incident.resolved"]
    texts = [line.text for line in await world.timeline()]
    assert texts[0] == "page alert fast of writes@orders fired: burns 20 times too fast"
    assert "alice has it in hand" in texts


async def test_a_page_alert_opens_an_incident_that_ends_once_it_stays_quiet(world: IncidentWorld) -> None:
    await _whole_life(world)


async def test_the_same_on_postgresql(postgres_world: IncidentWorld) -> None:
    await _whole_life(postgres_world)


async def test_an_event_that_comes_again_changes_nothing(world: IncidentWorld) -> None:
    fired = await world.fire()
    over = await world.end()
    before = (await world.incident(), await world.timeline(), len(await world.events()))
    for event in (fired, over, fired):
        await world.responder(event)
    assert (await world.incident(), await world.timeline(), len(await world.events())) == before


async def test_an_end_that_comes_before_its_beginning_opens_nothing(world: IncidentWorld) -> None:
    await world.end("early")
    await world.fire("early")
    assert await world.incidents() == []


async def test_other_alerts_of_the_instance_cluster_and_neighbours_join(world: IncidentWorld) -> None:
    await world.fire("a1", slo="writes", burn_rate=7.0)
    assert (await world.incident()).severity is Severity.SEV2
    await world.clock.advance(300)
    await world.fire("a2", slo="reads")  # the cluster
    await world.clock.advance(300)
    await world.fire("a3", cluster="stock")  # orders depends on it
    await world.clock.advance(1)
    await world.fire("a4", cluster="mail")  # nothing to do with it
    assert [one.cluster for one in await world.incidents()] == ["orders", "mail"]
    assert [one.alert_id for one in await world.alerts()] == ["a1", "a2", "a3"]
    assert (await world.incident()).severity is Severity.SEV1  # the worst of its alerts
    await world.clock.advance(601)
    await world.fire("a5", slo="canary")  # too late to be the same trouble
    await world.fire("a6", slo="writes", rule="slow")  # the instance joins for as long as it is open
    assert [len(await world.alerts(f"INC-{number}")) for number in (1, 2, 3)] == [4, 1, 1]


async def test_an_incident_is_monitored_only_once_every_page_is_over_and_goes_back_when_one_fires(world: IncidentWorld) -> None:
    await world.fire("a1")
    await world.fire("a2", slo="reads")
    await world.fire("t1", severity="ticket")  # joins, and keeps nothing open
    await world.end("a1")
    assert (await world.incident()).state is IncidentState.DETECTED
    await world.end("a2", slo="reads")
    assert (await world.incident()).state is IncidentState.MONITORING
    await world.fire("a3")
    back = await world.incident()
    assert (back.state, back.mitigated_at) == (IncidentState.DETECTED, None)
    await world.clock.advance(3600)
    assert await world.responder.end_quiet() == 0


async def test_the_same_instance_opens_a_recent_incident_again_and_later_another(world: IncidentWorld) -> None:
    await world.fire("a1")
    await world.end("a1")
    await world.clock.advance(700)
    await world.responder.end_quiet()
    await world.fire("a2")
    again = await world.incident()
    assert (again.state, again.reopened_count, again.resolved_at) == (IncidentState.DETECTED, 1, None)
    assert (await world.events())[-1].kind == "incident.reopened"
    await world.end("a2")
    await world.clock.advance(700)
    await world.responder.end_quiet()
    await world.clock.advance(1801)
    await world.fire("a3")
    assert len(await world.incidents()) == 2


async def test_what_was_a_false_positive_is_not_opened_again(world: IncidentWorld) -> None:
    await world.fire("a1")
    await world.desk().move("1", IncidentState.FALSE_POSITIVE)
    await world.fire("a2")
    assert [one.state for one in await world.incidents()] == [IncidentState.FALSE_POSITIVE, IncidentState.DETECTED]


async def test_a_ticket_alert_opens_nothing(world: IncidentWorld) -> None:
    await world.fire("t1", severity="ticket")
    await world.end("t1", severity="ticket")
    assert await world.incidents() == []


async def test_the_timeline_holds_what_happened_before_and_meanwhile_in_order_of_events(world: IncidentWorld) -> None:
    deploy = {"cluster": "orders", "what": "shop", "version": "2.1", "by": "ci"}
    await world.happen("deploy.recorded", "orders", deploy)
    await world.happen("deploy.recorded", "mail", deploy | {"cluster": "mail"})
    await world.clock.advance(120)
    probe = {"cluster": "orders", "purpose": "write", "instance": "orders-1", "outcome": "bad", "reason": "timeout"}
    await world.happen("observe.endpoint_bad", "orders write", probe | {"scheduled_at": "2026-11-21T04:01:55+00:00"})
    await world.fire()
    await world.clock.advance(1)
    moved = {"cluster": "orders", "purpose": "write", "before_instance": "orders-1", "before_role": "primary"}
    await world.happen("observe.role_changed", "orders write", moved | {"instance": "orders-2", "role": "primary"})
    await world.clock.advance(1)
    operation = {"operation_id": "x", "kind": "settings.apply", "target": "cluster/orders", "state": "running", "actor": "bob"}
    await world.happen("operation.running", "operation/x", operation)
    (one,) = await world.incidents()
    await world.clock.advance(1)
    await world.happen("notice.delivered", "pagers", {"thread": str(one.id), "channel": "pagers"})
    lines = await world.timeline()
    kinds = ["deploy", "probe", "alert", "role", "operation", "notification"]
    assert [line.kind.value for line in lines] == kinds
    texts = "\n".join(line.text for line in lines)
    for expected in (
        "deploy of shop 2.1",
        "probe of orders write is bad: timeout",
        "orders write moved from orders-1 (primary) to orders-2 (primary)",
        "operation settings.apply on cluster/orders: running",
        "channel pagers",
    ):
        assert expected in texts
    assert "mail" not in texts
    assert next(line for line in lines if line.kind.value == "probe").at == START + timedelta(seconds=115)


async def test_hostile_words_of_an_alert_stay_words(world: IncidentWorld) -> None:
    await world.fire(summary="\x1b[2J<!channel> `rm`\nsecond line", burn_rate="NaN", window_seconds="x", fired_at="never")
    (line,) = await world.timeline()
    assert "\x1b" not in line.text
    assert "\n" not in line.text
    assert (await world.incident()).detected_at == START


async def test_a_storm_of_alerts_is_one_incident_for_each_cluster(world: IncidentWorld) -> None:
    for number in range(100):
        await world.fire(f"s{number}", slo=f"slo{number % 10}", cluster="orders" if number % 2 else "mail")
    assert len(await world.incidents()) == 2


async def test_a_declared_incident_takes_the_alert_of_its_cluster(world: IncidentWorld) -> None:
    await world.desk().open(NewIncident(title="shop is slow", severity=Severity.SEV3, cluster="orders"))
    await world.clock.advance(60)
    await world.fire()
    (one,) = await world.incidents()
    assert one.severity is Severity.SEV3  # a person said so
    assert len(await world.alerts()) == 1

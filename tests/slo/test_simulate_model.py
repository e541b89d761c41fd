"""Invented traffic: what chance does to a healthy service, and what the guard costs."""

from fractions import Fraction

from slo_kit import cluster, definition

from dbre.capabilities.slo.simulation.healthy_service import model_row


def test_the_guard_takes_false_pages_away_from_a_quiet_healthy_service() -> None:
    given = {"per_minute": Fraction(1), "runs": 1, "days": 5, "seed": 7, "error_ratios": (Fraction(1),)}
    plain = model_row(definition(), cluster(), has_guard=False, **given)
    guarded = model_row(definition(), cluster(), has_guard=True, **given)
    assert plain.false_pages >= 6  # of 30 days, in which 21.6 errors come: nearly each of them pages
    assert guarded.false_pages == 0
    assert plain.detections[0].missed == guarded.detections[0].missed == 0
    fast, slow = plain.detections[0].median_seconds, guarded.detections[0].median_seconds
    assert fast is not None
    assert slow is not None
    assert fast <= slow <= 900  # an outage is seen in minutes all the same


def test_a_seed_gives_the_same_traffic_again_and_another_one_does_not() -> None:
    given = {"per_minute": Fraction(1, 2), "runs": 1, "days": 1, "has_guard": False, "error_ratios": (Fraction(1, 2),)}
    rows = [model_row(definition(), cluster(), seed=seed, **given) for seed in (1, 1, 2)]
    assert rows[0] == rows[1]
    assert rows[0].detections != rows[2].detections

"""Experiments of Chaos Toolkit, read into ours as far as they can be; what cannot is told, never guessed."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbre.core.errors import UsageError
from dbre.core.text import printable

__all__ = ["Translation", "translate"]

_FREEZING = {"-STOP", "-SIGSTOP", "-19", "STOP", "SIGSTOP"}
_KILLING = {"-KILL", "-SIGKILL", "-9", "KILL", "SIGKILL"}
_DEFAULT_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What became of a file."""

    document: Mapping[str, Any]
    untranslated: Sequence[str]  # each activity that has no counterpart, and why


def translate(given: Mapping[str, Any], *, cluster: str, instance: str) -> Translation:
    """Read an experiment of Chaos Toolkit (its format of 1.x) as one on an instance of a cluster.

    Raises: UsageError where it is no such experiment, or nothing of its method can be translated.
    """
    method = given.get("method")
    if not isinstance(method, list):
        raise UsageError("this is no experiment of Chaos Toolkit: it has no method", hint="see chaostoolkit.org/reference/api")
    faults: list[dict[str, Any]] = []
    untranslated: list[str] = []
    start = 0.0
    for activity in method:
        before, after = _pauses(activity)
        start += before
        fault, why = _fault(activity)
        if fault is None:
            untranslated.append(f"method: {_name(activity)}: {why}")
            continue
        seconds = after or _DEFAULT_SECONDS
        later = {"start": f"{start:.0f}s"} if start else {}
        faults.append({**fault, "instance": instance, **later, "for": f"{seconds:.0f}s"})
        start += seconds
    if not faults:
        raise UsageError(
            "nothing of its method has a counterpart: " + "; ".join(untranslated)[:1000],
            hint="dbre chaos faults lists what there is",
        )
    untranslated += [f"steady state: {_name(probe)}: {why}" for probe, why in _steady_state(given)]
    untranslated += [f"rollback: {_name(one)}: every fault has its own" for one in _listed(given, "rollbacks")]
    answers = {"name": f"{instance} answers", "kind": "answers", "instance": instance, "when": ["before", "after"]}
    document = {
        "api_version": "dbre/v1",
        "kind": "Experiment",
        "title": printable(str(given.get("title", "")), limit=300),
        "cluster": cluster,
        "hypothesis": [answers],
        "faults": faults,
    }
    return Translation(document=document, untranslated=untranslated)


def _fault(activity: Any) -> tuple[dict[str, Any] | None, str]:
    provider = activity.get("provider") if isinstance(activity, Mapping) else None
    if not isinstance(provider, Mapping):
        return None, "it has no provider"
    if activity.get("type") != "action":
        return None, "a probe within the method; write it under hypothesis"
    if provider.get("type") != "process":
        return None, f"a provider of type {printable(str(provider.get('type')), limit=50)}"
    program = str(provider.get("path", "")).rpartition("/")[2]
    words = _words(provider.get("arguments"))
    if program in ("kill", "pkill", "killall"):
        if _FREEZING & set(words):
            return {"fault": "freeze"}, ""
        if _KILLING & set(words):
            return {"fault": "crash"}, ""
        return None, "a signal that is none of STOP and KILL"
    if program == "fallocate" and len(words) == 3 and words[0] in ("-l", "--length") and words[2].startswith("/"):
        directory = words[2].rpartition("/")[0] or "/"
        return {"fault": "disk-ballast", "parameters": {"directory": directory, "size": _size(words[1])}}, ""
    return None, f"the program {printable(program, limit=50) or 'without a name'}"


def _words(arguments: Any) -> list[str]:
    if isinstance(arguments, str):
        try:
            return shlex.split(arguments)
        except ValueError:
            return []
    if isinstance(arguments, Mapping):
        return [str(part) for pair in arguments.items() for part in pair if part not in (None, "")]
    return [str(one) for one in arguments] if isinstance(arguments, list) else []


def _size(text: str) -> str:
    """``fallocate`` counts 1G as 2^30, and so do we with GiB."""
    number = text.rstrip("KMGTiB")
    unit = text[len(number) :].removesuffix("iB").removesuffix("B")
    return f"{number}{unit}iB" if unit else f"{number}B"


def _pauses(activity: Any) -> tuple[float, float]:
    pauses = activity.get("pauses") if isinstance(activity, Mapping) else None
    if not isinstance(pauses, Mapping):
        return 0.0, 0.0
    return _seconds(pauses.get("before")), _seconds(pauses.get("after"))


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 3600 else 0.0


def _steady_state(given: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    state = given.get("steady-state-hypothesis")
    for one in _listed(state, "probes") if isinstance(state, Mapping) else ():
        yield one, "write it as a probe of kind answers, value or burn"


def _listed(given: Mapping[str, Any], key: str) -> list[Any]:
    found = given.get(key)
    return found if isinstance(found, list) else []


def _name(activity: Any) -> str:
    name = activity.get("name") if isinstance(activity, Mapping) else None
    return printable(str(name), limit=100) if name else "without a name"

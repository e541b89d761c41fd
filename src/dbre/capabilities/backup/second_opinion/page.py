"""An opinion as a page for a terminal; whatever a tool or a file name said stays on its line."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dbre.core.text import counted, printable
from dbre.core.units import format_bytes, format_duration

__all__ = ["page_of"]


def page_of(item: Mapping[str, Any]) -> str:
    """The document of ``dbre backup inspect`` as text."""
    return "\n".join(_lines(item))


def _lines(item: Mapping[str, Any]) -> Iterator[str]:
    yield f"{_text(item['repository'])}: {'nothing speaks against it' if item['is_sound'] else 'NOT SOUND'}"
    yield ""
    version = f" {_text(item['tool_version'])}" if item["tool_version"] else ""
    proved = "" if item["is_proved_adapter"] else " (this adapter was not proved on a server)"
    yield _fact("tool", f"{item['tool']}{version}{proved}")
    yield _fact("log", counted(item["log_files"], "file"))
    yield from _exposure(item["exposure"])
    yield from _restore(item["restore"])
    yield from _block("Sets", [_set(one) for one in item["sets"]], "none")
    yield from _block("Can be recovered", [_interval(one) for one in item["intervals"]], "nothing")
    yield from _block("Holes in the log", [_hole(one) for one in item["holes"]], "none")
    yield from _block("Problems", [line for one in item["problems"] for line in _problem(one)], "none")
    if item["verified"] is not None:
        yield from _verified(item["verified"])
    if item["drill"] is not None:
        yield from _drill(item["drill"])
    elif item["restore"] is not None:
        yield ""
        yield "Reading proves nothing: --drill restores it in a jail and brings it to its last change."


def _exposure(found: Mapping[str, Any]) -> Iterator[str]:
    stored = f", stored {_text(found['stored_at'])}" if found["stored_at"] else ""
    yield _fact("reaches", f"{_text(found['until'])}{stored}")
    if found["bytes"] is None:
        yield _fact("at risk now", f"not known: {_text(found['reason_unknown'])}")
        return
    lost = format_bytes(found["bytes"])
    seconds = found["seconds"]
    age = format_duration(seconds) if seconds is not None else f"age not known: {_text(found['reason_unknown'])}"
    yield _fact("at risk now", f"{lost} of log, {age}")


def _restore(found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield _fact("restore to now", "not possible")
        return
    replay = format_bytes(found["bytes_replay"]) if found["bytes_replay"] is not None else "no"
    yield _fact("restore to now", f"{counted(len(found['sets']), 'set')}, {replay} of log to replay")
    seconds = found["forecast_seconds"]
    told = format_duration(seconds) if seconds is not None else "not known"
    yield _fact("would take", f"{told} ({_text(found['forecast_basis'])})")


def _set(one: Mapping[str, Any]) -> str:
    state = f"reaches {_text(one['reaches'])}" if one["is_usable"] else f"UNUSABLE: {_text(one['problem'])}"
    size = format_bytes(one["bytes_stored"]) if one["bytes_stored"] is not None else "-"
    return f"{_text(one['label'])}  {one['kind']:<12} {_text(one['stopped_at'])}  {size:>10}  {state}"


def _interval(one: Mapping[str, Any]) -> str:
    moments = f"{_text(one['start_at'])} to {_text(one['end_at'])}" if one["end_at"] else f"from {_text(one['start_at'])}"
    return f"timeline {one['timeline']}: {_text(one['start'])} to {_text(one['end'])} ({moments} at least)"


def _hole(one: Mapping[str, Any]) -> str:
    files = f", {counted(one['files'], 'file')}" if one["files"] is not None else ""
    return f"timeline {one['timeline']}: {_text(one['start'])} to {_text(one['end'])}{files}"


def _problem(one: Mapping[str, Any]) -> tuple[str, str]:
    return f"{'!' if one['is_blocking'] else '-'} {_text(one['message'])}", f"  {_text(one['hint'])}"


def _verified(found: Mapping[str, Any]) -> Iterator[str]:
    title = f"Read {counted(found['files'], 'file')} in {format_duration(found['seconds'])}"
    faults = [f"{one['rule']} {_text(one['subject'])}: {_text(one['detail'])}" for one in found["faults"]]
    yield from _block(
        title,
        [
            *(faults or ["good" if found["files"] else "nothing was there to read"]),
            *(f"- {_text(one)}" for one in found["remarks"]),
        ],
        "",
    )


def _drill(found: Mapping[str, Any]) -> Iterator[str]:
    lines = [
        f"reached {_text(found['reached'])}, last commit {_text(found['last_commit_at'])}",
        _text(found["reason"]),
        ", ".join(f"{one['name']} {one['seconds']:.1f} s" for one in found["phases"]),
        *(f"{one['level']} {_text(one['name'])}: {one['outcome']}, {_text(one['detail'])}" for one in found["results"]),
    ]
    recorded = found["recorded"]
    if recorded is None:
        lines.append("not recorded: --cluster NAME of the inventory, and a state store (dbre server)")
    else:
        verdict = f"{recorded['verdict']} ({recorded['level']}): {_text(recorded['reason'])}"
        lines.append(f"recorded as {recorded['id']}, {verdict}")
    yield from _block(f"Drill of {_text(found['set'])}: {found['verdict'].upper()}", lines, "")


def _fact(title: str, value: str) -> str:
    return f"  {title + ':':<16}{value}"


def _block(title: str, lines: Sequence[str], nothing: str) -> Iterator[str]:
    yield ""
    yield title
    yield from (f"  {line}" for line in lines or [nothing])


def _text(value: object) -> str:
    return "-" if value is None else printable(str(value), limit=400)

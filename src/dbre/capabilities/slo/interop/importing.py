"""From foreign files to items of ``slos``: everything wrong with all of them at once, and everything that is lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbre.capabilities.slo.composite_documents import CompositeDocument
from dbre.capabilities.slo.documents import SLOS, SloDocument
from dbre.capabilities.slo.interop.model import CarriedOver, Defaults, Findings, ForeignObject, Lost
from dbre.capabilities.slo.interop.openslo import import_openslo
from dbre.capabilities.slo.interop.openslo_alpha import import_alpha
from dbre.capabilities.slo.interop.placing import placed
from dbre.capabilities.slo.interop.plain import import_plain
from dbre.capabilities.slo.interop.pyrra import import_pyrra
from dbre.capabilities.slo.interop.reading import objects_of, read_objects
from dbre.capabilities.slo.interop.sloth import import_sloth
from dbre.core.config import Section, document_text
from dbre.core.config.problems import ConfigInvalid, Place, Problem
from dbre.core.config.tree import Listing, Node
from dbre.core.config.tree import plain as plain_values
from dbre.core.config.validation import validate

__all__ = ["Imported", "import_files", "import_text"]

_STAND_IN: dict[str, str | list[str]] = {"cluster": "any"}
_IMPORTERS = {
    "openslo/v1alpha": import_alpha,
    "sloth": import_sloth,
    "sloth-kubernetes": import_sloth,
    "pyrra": import_pyrra,
    "plain": import_plain,
}


class SloFilesInvalid(ConfigInvalid):
    """Files of SLOs cannot be used. Most are not written for dbre, so its own schema is no advice."""

    subject = "the files have"
    advice = "docs/reference/slo-files says what is read, and what becomes of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What files hold: documents of ``slos`` and ``slo_composites`` that are valid, and what was lost on the way."""

    slos: tuple[CarriedOver, ...]
    documents: tuple[SloDocument, ...]
    composites: tuple[CarriedOver, ...]
    lost: tuple[Lost, ...]

    @property
    def left_out(self) -> tuple[Lost, ...]:
        """SLOs that could not be carried over at all."""
        return tuple(one for one in self.lost if one.is_whole)

    def text(self) -> str:
        """A file for ``include``."""
        sections = {"slos": self.slos, "slo_composites": self.composites} if self.composites else {"slos": self.slos}
        return document_text({key: [dict(one.document) for one in found] for key, found in sections.items()})


def import_files(paths: Sequence[Path], defaults: Defaults) -> Imported:
    """Read files and carry their SLOs over. Raises: ConfigInvalid with everything that is wrong with any of them."""
    findings = Findings()
    objects = [one for path in paths for one in read_objects(path, findings.problems)]
    return _import(objects, defaults, findings)


def import_text(text: str, defaults: Defaults, *, source: str = "text") -> Imported:
    """The same for a text. Raises: ConfigInvalid."""
    findings = Findings()
    objects = objects_of(text, source=source, directory=Path.cwd(), problems=findings.problems)
    return _import(objects, defaults, findings)


def _import(objects: Sequence[ForeignObject], defaults: Defaults, findings: Findings) -> Imported:
    import_openslo([one for one in objects if one.dialect in ("openslo/v1", "openslo.com/v2alpha")], defaults, findings)
    for one in objects:
        if (importer := _IMPORTERS.get(one.dialect)) is not None:
            importer(one, defaults, findings)
    documents = [*_judge(findings), *_own(objects, findings)]
    _check_composites(findings)
    _names_once(findings.slos, "SLO", findings)
    _names_once(findings.composites, "composite", findings)
    if findings.problems:
        raise SloFilesInvalid(findings.problems)
    lost = sorted(findings.lost, key=lambda one: Problem(one.place, one.message).order)
    return Imported(
        slos=tuple(findings.slos),
        documents=tuple(documents),
        composites=tuple(findings.composites),
        lost=tuple(dict.fromkeys(lost)),
    )


def _judge(findings: Findings) -> list[SloDocument]:
    """Each SLO by the rules of our own files, with the place of the original."""
    found = []
    for one in findings.slos:
        document = dict(one.document)
        if not document.get("selector"):
            document["selector"] = _STAND_IN  # said once, by whoever asks for the file
        name = f"SLO {document.get('name', '')}"
        section: Section[Any] = Section(key=name, shape=SloDocument, default=dict, summary="")
        problems: list[Problem] = []
        judged = validate(section, placed(document, one.place), problems=problems)
        findings.problems += problems
        if judged is not None:
            found.append(judged)
    return found


def _own(objects: Sequence[ForeignObject], findings: Findings) -> list[SloDocument]:
    """Files that are ours already; other sections in them are not looked at."""
    found: list[SloDocument] = []
    for one in objects:
        if one.dialect != "dbre":
            continue
        node = one.node.entries["slos"]
        found += validate(SLOS, node, problems=findings.problems) or ()
        findings.slos += [
            CarriedOver(_plain(below), below.place) for below in (node.items if isinstance(node, Listing) else [])
        ]
    return found


def _plain(node: Node) -> Mapping[str, object]:
    value = plain_values(node)
    return value if isinstance(value, dict) else {}


def _check_composites(findings: Findings) -> None:
    """Each composite by the rules of our own files."""
    for one in findings.composites:
        key = f"composite {one.document.get('name', '')}"
        section: Section[Any] = Section(key=key, shape=CompositeDocument, default=dict, summary="")
        validate(section, placed(one.document, one.place), problems=findings.problems)


def _names_once(found: Sequence[CarriedOver], what: str, findings: Findings) -> None:
    first: dict[str, Place] = {}
    for one in found:
        name = str(one.document.get("name", ""))
        if name in first:
            findings.refuse(one.place, f"another {what} has the name {name}: {first[name]}", "rename one of them")
        first.setdefault(name, one.place)

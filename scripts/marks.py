"""The marks that keep the house readable: measured on every Python file, printed as a table, exit 1 if one is missed.

Usage: python scripts/marks.py [ROOT]
"""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import grimp

MAX_FILE_LINES = 600
MAX_MEDIAN_LINES = 120  # the median stays below this
MAX_FUNCTION_LINES = 60  # a short function has fewer
MIN_SHORT_FUNCTIONS_RATIO = 0.99

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One measured limit; ``offenders`` are named whether or not the mark is missed."""

    name: str
    measured: str
    limit: str
    is_met: bool
    offenders: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One parsed Python file; ``name`` is its path relative to the root."""

    name: str
    lines: int
    tree: ast.Module


def read_sources(root: Path) -> list[Source]:
    """All Python files of the project below ``root``, sorted by name."""
    sources = []
    for folder in ("src", "tests", "bench", "scripts"):
        for path in sorted((root / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            sources.append(Source(name=str(path.relative_to(root)), lines=text.count("\n"), tree=ast.parse(text, str(path))))
    return sources


def file_lengths(sources: Sequence[Source]) -> list[Mark]:
    """The longest file, and the median of the package and of the tests apart, so that neither hides the other."""
    longest = max(sources, key=lambda source: source.lines)
    marks = [
        Mark(
            name="longest file",
            measured=f"{longest.lines} lines ({longest.name})",
            limit=f"<= {MAX_FILE_LINES}",
            is_met=longest.lines <= MAX_FILE_LINES,
            offenders=[f"{source.name}: {source.lines} lines" for source in sources if source.lines > MAX_FILE_LINES],
        )
    ]
    for folder in ("src", "tests"):
        # An empty __init__.py says nothing about how long files are.
        lengths = [source.lines for source in sources if source.name.startswith(f"{folder}/") and source.tree.body]
        if lengths:
            middle = median(lengths)
            marks.append(
                Mark(
                    name=f"median file in {folder}/",
                    measured=f"{middle:g} lines of {len(lengths)} files",
                    limit=f"< {MAX_MEDIAN_LINES}",
                    is_met=middle < MAX_MEDIAN_LINES,
                )
            )
    return marks


def function_lengths(sources: Sequence[Source]) -> Mark:
    """How many functions are short; a nested function counts for itself and for the one around it."""
    total, long = 0, []
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, FunctionNode):
                total += 1
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines >= MAX_FUNCTION_LINES:
                    long.append(f"{source.name}:{node.lineno}: {node.name} has {lines} lines")
    ratio = 1 - len(long) / total if total else 1.0
    return Mark(
        name=f"functions under {MAX_FUNCTION_LINES} lines",
        measured=f"{ratio:.2%} of {total}",
        limit=f">= {MIN_SHORT_FUNCTIONS_RATIO:.0%}",
        is_met=ratio >= MIN_SHORT_FUNCTIONS_RATIO,
        offenders=long,
    )


def is_public(name: str) -> bool:
    """Whether a name is meant for others; ``__call__`` and its like are not asked for a docstring of their own."""
    return not name.startswith("_")


def public_definitions(body: Sequence[ast.stmt], prefix: str = "") -> Iterator[tuple[str, FunctionNode | ast.ClassDef]]:
    """Public classes, functions and methods with their dotted names; what is inside a function is nobody's business."""
    for node in body:
        if isinstance(node, FunctionNode | ast.ClassDef) and is_public(node.name):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.Try):
            yield from public_definitions(node.body, prefix)
            yield from public_definitions(node.orelse, prefix)


def has_decorator(node: FunctionNode, *names: str) -> bool:
    """Whether one of the decorators ends in one of ``names``: ``@overload``, ``@typing.overload``, ``@value.setter``."""
    endings = [ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list]
    return any(ending in names for ending in endings)


def missing_annotations(node: FunctionNode) -> list[str]:
    """Parameters without annotation, and ``return``."""
    every = [*node.args.posonlyargs, *node.args.args]
    if every and every[0].arg in {"self", "cls"}:
        every = every[1:]
    every += [*node.args.kwonlyargs, *(extra for extra in (node.args.vararg, node.args.kwarg) if extra)]
    return [one.arg for one in every if one.annotation is None] + ([] if node.returns else ["return"])


def public_names(sources: Sequence[Source]) -> list[Mark]:
    """Whether every public name of the package has a docstring, and every public function full annotations."""
    total, undocumented, unannotated = 0, [], []
    for source in sources:
        if not source.name.startswith("src/"):
            continue
        total += 1
        if source.tree.body and not ast.get_docstring(source.tree):
            undocumented.append(f"{source.name}: module")
        for name, node in public_definitions(source.tree.body):
            total += 1
            place = f"{source.name}:{node.lineno}: {name}"
            if isinstance(node, FunctionNode):
                if missing := missing_annotations(node):
                    unannotated.append(f"{place} ({', '.join(missing)})")
                if has_decorator(node, "overload", "setter", "deleter"):
                    continue
            if not ast.get_docstring(node):
                undocumented.append(place)
    return [
        _none_of("public names documented", total, undocumented),
        _none_of("public names annotated", total, unannotated),
    ]


def test_modules(sources: Sequence[Source]) -> Mark:
    """Whether each module of the tests has a name of its own: they lie in no packages, so that two of one name are one."""
    first: dict[str, str] = {}
    total, doubles = 0, []
    for source in sources:
        name = Path(source.name).name
        if not source.name.startswith("tests/") or name in ("__init__.py", "conftest.py"):
            continue
        total += 1
        if (other := first.setdefault(name, source.name)) != source.name:
            doubles.append(f"{source.name}: as {other}")
    return _none_of("modules of tests with names of their own", total, doubles)


def _none_of(name: str, total: int, offenders: Sequence[str]) -> Mark:
    measured = f"{total - len(offenders)} of {total}"
    return Mark(name=name, measured=measured, limit="all", is_met=not offenders, offenders=offenders)


def read_imports(root: Path) -> dict[str, set[str]]:
    """Who imports whom inside the package, function-local imports included, imports for type checkers only left out."""
    sys.path.insert(0, str(root / "src"))
    graph = grimp.build_graph("dbre", exclude_type_checking_imports=True, cache_dir=None)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def cycles(imports: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other; each group sorted, groups in alphabetical order.

    >>> cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}})
    [['b', 'c']]
    """
    reached = {module: _reachable(module, imports) for module in imports}
    groups = {
        tuple(sorted({module, *(other for other in reached[module] if module in reached.get(other, ()))})) for module in imports
    }
    return sorted(list(group) for group in groups if len(group) > 1)


def _reachable(start: str, imports: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for target in imports.get(waiting.pop(), ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def measure(root: Path) -> list[Mark]:
    """All marks of the project at ``root``."""
    sources = read_sources(root)
    imports = read_imports(root)
    found = [" <-> ".join(group) for group in cycles(imports)]
    return [
        *file_lengths(sources),
        function_lengths(sources),
        *public_names(sources),
        test_modules(sources),
        Mark(name="import cycles", measured=str(len(found)), limit="0", is_met=not found, offenders=found),
    ]


def main() -> int:
    """Print the table and the offenders of missed marks."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    marks = measure(root)
    width = max(len(mark.name) for mark in marks)
    for mark in marks:
        print(f"{'ok    ' if mark.is_met else 'MISSED'}  {mark.name:{width}}  {mark.limit:>6}  {mark.measured}")
    for mark in marks:
        if not mark.is_met:
            print(f"\n{mark.name}:", *mark.offenders, sep="\n  ", file=sys.stderr)
    return 0 if all(mark.is_met for mark in marks) else 1


if __name__ == "__main__":
    sys.exit(main())

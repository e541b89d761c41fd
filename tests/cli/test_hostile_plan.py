"""A plan file, or a control plane elsewhere, does not write to the terminal with what it says."""

from dbre.cli.operation_text import plan_text
from dbre.core.operation.plan import Change, Plan, PlannedOperation, Step

HOSTILE = "\x1b]0;title\x07\u202e\n  target    cluster/harmless"


def test_no_text_of_a_plan_moves_the_cursor_or_adds_a_line() -> None:
    def planned(text: str) -> PlannedOperation:
        plan = Plan(
            target=f"cluster/{text}",
            summary=text,
            steps=(Step(f"put:{text}", summary=text, undo=text),),
            changes=(Change(subject=text, before=text, after=text),),
            blast_radius=(text,),
            warnings=(text,),
        )
        return PlannedOperation(kind=text, definition_version=1, input={}, plan=plan)

    lines = plan_text(planned(HOSTILE)).split("\n")
    assert len(lines) == len(plan_text(planned("harmless")).split("\n"))
    assert all(line.isprintable() for line in lines)

"""``dbre ha rejoin``: an instance whose place another one took follows again."""

from typing import Annotated

import typer

from dbre.core.operation.act import Act
from dbre.core.view import View
from dbre.ports.runtime import runtime

__all__ = ["Clone", "ClusterName", "WithoutEvidence", "Work", "app"]

app = typer.Typer()

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
Clone = Annotated[bool, typer.Option("--clone", help="Copy it anew, whatever its history is.")]
WithoutEvidence = Annotated[
    bool, typer.Option("--without-evidence", help="Do not write what only this instance committed to a file first.")
]
Work = Annotated[
    str | None, typer.Option("--work", metavar="DIR", help="Room for a copy of its data; default: the temporary directory.")
]


@app.command()
async def rejoin(
    ctx: typer.Context,
    cluster: ClusterName,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", help="Who is to follow again.")],
    *,
    check: Annotated[bool, typer.Option("--check", help="Only look: what its data is, and what would be done.")] = False,
    clone: Clone = False,
    without_evidence: WithoutEvidence = False,
    work: Work = None,
) -> View | Act:
    """Let a former primary, or a replica that lost its way, follow the primary: as it is, rewound, or copied anew.

    What only it committed is written to a file first.
    """
    from dbre.capabilities.ha.rejoin.view import check_view, done_view

    asked = {
        "cluster": cluster,
        "instance": instance,
        "clone": clone,
        "without_evidence": without_evidence,
        "work": work,
    }
    if not check:
        return Act(kind="ha.rejoin", input=asked, view=done_view)
    from dbre.capabilities.ha.rejoin.building import rejoin_ground
    from dbre.capabilities.ha.rejoin.document import RejoinInput
    from dbre.capabilities.ha.rejoin.surveying import survey

    parts = runtime(ctx)
    ground = rejoin_ground(parts.config, parts.fleet, parts.engines, parts.clock, None)
    wanted = RejoinInput.model_validate(asked)
    seen = await survey(ground, parts.fleet.cluster(cluster), instance, is_clone_wanted=clone)
    return check_view(seen, wanted)

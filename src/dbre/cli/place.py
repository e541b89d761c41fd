"""Which command runs, and whether it is about this machine whatever control plane is named."""

from typer._click.globals import get_current_context  # Typer vendors Click and offers it nowhere else

__all__ = ["command_path", "is_about_this_machine"]

_HERE = frozenset({"config", "db", "demo", "lab", "server"})


def command_path() -> str:
    """The command as it is typed, without its arguments: ``dbre schedule list``."""
    context = get_current_context(silent=True)
    words = context.command_path.split() if context is not None else []
    return " ".join(["dbre", *words[1:]]) if len(words) > 1 else "this command"


def is_about_this_machine() -> bool:
    """Whether it looks at files or starts programs of this machine, and claims nothing of a control plane."""
    words = command_path().split()
    return len(words) > 1 and words[1] in _HERE

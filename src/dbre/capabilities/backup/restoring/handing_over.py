"""What is left to a person once a directory was restored: nothing of ours may decide that the original is gone."""

from dbre.core.text import printable

__all__ = ["next_steps"]


def next_steps(cluster: str, directory: str) -> list[str]:
    """How the restored server becomes the cluster, and how it gets the full copy that its new timeline needs."""
    name, where = printable(cluster, limit=200), printable(directory, limit=300)
    takes = f"a dbre server that keeps the log of {name} takes it by itself when it sees a new timeline"
    return [
        f"start a server on {where}; where it is not at an address of {name} in the inventory, add it there",
        f"it goes its own way from here and needs a full copy: {takes}; else, or at once: dbre backup take {name} --kind full",
    ]

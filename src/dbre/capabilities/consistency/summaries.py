"""What each anomaly is, in a sentence."""

__all__ = ["TRANSACTIONS"]

_CYCLES = {
    "G0": "writes of transactions lie in a circle: each overwrote the next",
    "G1c": "transactions saw each other in a circle",
    "G-single": "a transaction missed a write, and saw what came after it (read skew)",
    "G-nonadjacent": "transactions saw writes in different orders (long fork)",
    "G2-item": "transactions missed each other's writes in a circle (write skew)",
}
_SUFFIXES = {
    "-process": ", by the order in which one client did things",
    "-realtime": ", by the order in which things ended and began",
}
TRANSACTIONS: dict[str, str] = {
    "garbage-read": "a read saw what nobody ever tried to write",
    "duplicate-elements": "a read saw something twice that was written once",
    "future-read": "a transaction read what it wrote only afterwards",
    "internal": "a transaction did not see its own write",
    "G1a": "a read saw what a failed transaction had written (aborted read)",
    "dirty-update": "a transaction built on what a failed one had written",
    "G1b": "a read saw a transaction half done (intermediate read)",
    "incompatible-order": "reads saw a list in different orders",
    "cyclic-versions": "values of a register came before themselves",
    "unrepeatable-read": "a transaction read the same thing twice and saw a change of others",
    "lost-update": "two transactions read the same version and both wrote to it",
    **{name + suffix: text + more for suffix, more in {"": "", **_SUFFIXES}.items() for name, text in _CYCLES.items()},
}
"""Of transactions, the gravest first."""

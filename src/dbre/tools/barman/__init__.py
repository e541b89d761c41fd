"""Barman as a program (it is GPL-3: never imported): its catalogue read, its own commands run, its archive listed by us."""

from dbre.tools.barman.repository import BarmanRepository

__all__ = ["BarmanRepository"]

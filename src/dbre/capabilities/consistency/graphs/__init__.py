"""Graphs of who must come before whom, in numpy and scipy: the extra ``check``."""

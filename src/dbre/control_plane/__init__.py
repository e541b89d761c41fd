"""The control plane: prober, exporter, SLO engine, event delivery and web server in one process."""

from dbre.control_plane.plane import ControlPlane

__all__ = ["ControlPlane"]

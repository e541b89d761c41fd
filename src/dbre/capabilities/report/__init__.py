"""Key figures: how well databases are run, and how much work that is."""

from dbre.capabilities.report.documents import REPORT, ReportDocument
from dbre.capabilities.report.span import Span, week_of

__all__ = ["REPORT", "ReportDocument", "Span", "week_of"]

"""From a view to text: one module for each family of forms."""

from dbre.cli.forms import OutputFormat
from dbre.cli.render.documents import as_csv, as_json, as_jsonl, as_yaml
from dbre.cli.render.lines import as_nagios, as_names
from dbre.cli.render.table import as_table
from dbre.core.view import View

__all__ = ["render"]


def render(view: View, form: OutputFormat) -> tuple[str, int]:
    """The text of ``view`` in a form, newline at the end, and the exit code that goes with it."""
    if form is OutputFormat.NAGIOS:
        return as_nagios(view)
    if form in (OutputFormat.TABLE, OutputFormat.WIDE):
        return as_table(view, wide=form is OutputFormat.WIDE), int(view.exit_code)
    plain = {
        OutputFormat.JSON: as_json,
        OutputFormat.JSONL: as_jsonl,
        OutputFormat.YAML: as_yaml,
        OutputFormat.CSV: as_csv,
        OutputFormat.NAME: as_names,
    }
    return plain[form](view), int(view.exit_code)

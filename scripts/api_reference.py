"""The page docs/reference/http-api.md, from the API's own OpenAPI document."""

from typing import Any

from fastapi import FastAPI

from dbre.web import api

HEAD = """# HTTP API

Written by `scripts/reference.py` from the API itself. `dbre server` describes it in full, with every field, at
`/api/v1/openapi.json`; `make test` sends it requests that are generated from that document, and an answer that the document
does not have is a failure.

Send the token with every request:

```sh
curl --header "Authorization: Bearer $DBRE_TOKEN" http://127.0.0.1:8432/api/v1/slos
```

Lists are documents with `api_version`, `kind`, `generated_at` and `items`. Units stand in the keys (`_seconds`, `_bytes`,
`_ratio`), times are RFC 3339 in UTC, what is unknown is `null` and never left out. An error is
`{"error": {"code", "message", "hint", "context", "retryable"}}`, as on the command line.
"""


def cell(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def parameter_text(parameter: dict[str, Any]) -> str:
    """A parameter with its description."""
    name, description = f"`{parameter['name']}`", parameter.get("description", "")
    return f"{name}: {cell(description).rstrip('.')}" if description else name


def page() -> str:
    """The whole page."""
    app = FastAPI(title="dbre")
    app.include_router(api.router)
    rows = []
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            parameters = [parameter_text(one) for one in operation.get("parameters", []) if one["in"] == "query"]
            meaning = cell(operation.get("description", operation["summary"]).split("\n\n")[0]).replace("``", "`")
            token = "yes" if operation.get("security") else "no"
            rows.append(
                f"| `{method.upper()} {path}` | {meaning} | {'; '.join(parameters) or '-'} "
                f"| {', '.join(sorted(operation['responses']))} | {token} |"
            )
    return "\n".join([HEAD, "| request | answer | parameters | codes | token |", "|---|---|---|---|---|", *rows]) + "\n"

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

## Requests
"""

TAIL = """
## Login

Programs send the token as `Authorization: Bearer TOKEN`. It is read from `server.token`, or made at the first start and kept in `dbre.token`
beside the state store, in a file that only its owner can read; the start says which. To change it, change what is behind the reference or delete
the file, and restart.

Browsers exchange it at `/login` for a session: a cookie `dbre_session` (`HttpOnly`, `SameSite=Lax`, and `Secure` behind TLS) that lasts twelve hours and ends with
the process. The API takes the cookie too. After ten wrong tokens within a minute the login page takes none for the rest of it. `/healthz`, `/readyz`, `/login`, `/static` and
`/api/v1/openapi.json` want no token, `/metrics` none if `server.is_metrics_public` is true.

The request must be addressed to an IP address, `localhost` or a name in `server.allowed_hosts`; any other `Host` gets 421.

## Errors

| status | when |
|--:|---|
| 400 | the request contradicts itself |
| 401 | no token, or a wrong one; a browser that wants a page is sent to `/login` |
| 403 | a form without its own token, or too many attempts to log in |
| 404 | there is nothing of that name |
| 405 | the path has no such method |
| 409 | a guard refused, or somebody else holds the target |
| 421 | the host name is not listed |
| 422 | a parameter is out of range; the message names it |
| 500 | a defect of dbre; the log has the details under the `X-Request-ID` of the answer |
| 503 | the state store or a part of the control plane does not answer now; `retryable` is true |

`code` is stable and meant for programs, `message` may be reworded. Whoever asks for `text/html` outside `/api/` gets the same as a page.

Every answer has an `X-Request-ID`. One that the client sends is kept if it has at most 128 of the characters `A-Z a-z 0-9 . _ : / + = -` and begins
with a letter or a digit; any other is replaced by a new UUID. Log lines and spans of the request carry it.

## Paging

Lists that grow take `limit` and give the newest first. The next page of events is asked for with `before` and the smallest `sequence` of
this one; the last page has fewer than `limit` items. No event appears twice or is left out because others arrive meanwhile.

## Metrics

`/metrics` is answered from memory and never waits for a database. It is OpenMetrics 1.0 for who accepts it, else the Prometheus text format 0.0.4. The families
are listed in [Probing and metrics](observe.md#the-exporter) and [The control plane](server.md#metrics-of-the-control-plane).

## Health

`/healthz` says that the process lives; restart it if that fails. `/readyz` says that all parts work, with 200 or 503 and a reason for each; what
the parts are stands in [The control plane](server.md#readiness).
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
    return "\n".join([HEAD, "| request | answer | parameters | codes | token |", "|---|---|---|---|---|", *rows]) + "\n" + TAIL

"""One hosted zone: a record set read, and swapped by deleting exactly the old and creating the new in one batch.

A batch happens as a whole or not at all, and Route 53 refuses to delete a record set that is not exactly as given, its TTL
included: that is the comparison.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from dbre.core.errors import Conflict, Denied, Unreachable, UsageError
from dbre.core.secrets import Secret
from dbre.core.text import one_line, printable

if TYPE_CHECKING:
    from types_boto3_route53.client import Route53Client

__all__ = ["HostedZone", "NotAsBefore", "RecordSet", "ZoneAccess"]

_CONNECT_SECONDS = 5
_READ_SECONDS = 15
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


class NotAsBefore(Conflict):
    """The record set is another than it was, so nothing was changed."""

    code = "route53.not_as_before"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneAccess:
    """Which zone, and how to get in. Without keys boto3 looks for credentials by itself."""

    zone_id: str
    region: str = "us-east-1"
    endpoint: str | None = None
    access_key: Secret | None = None
    secret_key: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSet:
    """Values in order, and how long they may be kept."""

    values: tuple[str, ...]
    ttl: int


class HostedZone:
    """Blocks: to be called in a thread. Raises: Unreachable, Denied, UsageError."""

    def __init__(self, access: ZoneAccess) -> None:
        self._access = access
        self._client: Route53Client = boto3.session.Session().client(
            "route53",
            region_name=access.region,
            endpoint_url=access.endpoint,
            aws_access_key_id=access.access_key.reveal() if access.access_key else None,
            aws_secret_access_key=access.secret_key.reveal() if access.secret_key else None,
            config=Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": 3},
                user_agent_extra="dbre",
            ),
        )

    def read(self, name: str, kind: str) -> RecordSet:
        """The record set. Raises: UsageError where there is none, or one that dbre does not turn."""
        with self._told(f"read {name}"):
            answer = self._client.list_resource_record_sets(
                HostedZoneId=self._access.zone_id, StartRecordName=name, StartRecordType=_kind(kind), MaxItems="1"
            )
        found = next(
            (
                one
                for one in answer["ResourceRecordSets"]
                if one["Name"].rstrip(".") == name.rstrip(".") and one["Type"] == kind
            ),
            None,
        )
        if found is None:
            raise UsageError(
                f"hosted zone {self._access.zone_id} has no {kind} record {printable(name)}", hint="make it, or correct record:"
            )
        if "SetIdentifier" in found or "AliasTarget" in found:
            what = "a routing policy" if "SetIdentifier" in found else "an alias target"
            raise UsageError(
                f"{printable(name)} {kind} has {what}, which dbre does not turn", hint="let it be a simple record with values"
            )
        return RecordSet(
            values=tuple(sorted(one["Value"] for one in found.get("ResourceRecords", []))), ttl=found.get("TTL", 0)
        )

    def swap(self, name: str, kind: str, *, old: RecordSet, new: RecordSet) -> str:
        """Replace exactly ``old``; the id of the change. Raises: NotAsBefore."""
        with self._told(f"change {name}"):
            answer = self._client.change_resource_record_sets(
                HostedZoneId=self._access.zone_id,
                ChangeBatch={
                    "Comment": "dbre",
                    "Changes": [
                        {"Action": "DELETE", "ResourceRecordSet": _set(name, kind, old)},
                        {"Action": "CREATE", "ResourceRecordSet": _set(name, kind, new)},
                    ],
                },
            )
        return answer["ChangeInfo"]["Id"]

    def is_everywhere(self, change: str) -> bool:
        """Whether all name servers of Route 53 have a change."""
        with self._told("read a change"):
            return self._client.get_change(Id=change)["ChangeInfo"]["Status"] == "INSYNC"

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        where = f"hosted zone {self._access.zone_id}"
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "?")
            said = one_line(error.response.get("Error", {}).get("Message", ""))
            if code == "InvalidChangeBatch":
                raise NotAsBefore(f"{where}: {printable(what)} was refused: {said}") from error
            if code in _DENIED:
                raise Denied(f"{where}: may not {printable(what)}: {code}", hint="see the policy of the credentials") from error
            if code in ("NoSuchHostedZone", "InvalidInput"):
                raise UsageError(f"{where}: cannot {printable(what)}: {code}: {said}", hint="correct zone_id:") from error
            raise Unreachable(f"{where}: cannot {printable(what)}: {code}: {said}") from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise Denied(
                f"{where}: there are no credentials to {printable(what)}",
                hint="write access_key and secret_key, or give boto3 its own",
            ) from error
        except BotoCoreError as error:
            raise Unreachable(f"{where}: cannot {printable(what)}: {one_line(str(error))}") from error


def _set(name: str, kind: str, wanted: RecordSet) -> Any:
    records = [{"Value": one} for one in wanted.values]
    return {"Name": name, "Type": kind, "TTL": wanted.ttl, "ResourceRecords": records}


def _kind(kind: str) -> Any:
    """As the types of boto3 want it: one of a list of words."""
    return kind

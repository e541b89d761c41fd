"""What answers of S3 mean."""

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from dbre.capabilities.backup.vault.errors import ObjectMissing, VaultMisconfigured, VaultUnusable
from dbre.core.errors import DbreError, Denied, Unreachable
from dbre.core.text import one_line

__all__ = ["code_of", "error_of", "status_of"]

_ABSENT = ("NoSuchKey", "NoSuchVersion", "404")
_DENIED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "403", "AllAccessDisabled")
_HINTS = {
    "InvalidAccessKeyId": "vaults.access_key names no user of this service",
    "SignatureDoesNotMatch": "vaults.secret_key does not belong to vaults.access_key",
    "ExpiredToken": "the credentials have expired: make new ones",
}
_SLOW = ("SlowDown", "RequestTimeout", "ServiceUnavailable", "InternalError", "RequestTimeTooSkewed", "Throttling")


def code_of(error: ClientError) -> str:
    """The service's word for it."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """The HTTP status."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _said(error: ClientError | BotoCoreError) -> str:
    """The service's code and message, without the name of the call that nobody typed."""
    if isinstance(error, BotoCoreError):
        return one_line(str(error))
    message = one_line(str(error.response.get("Error", {}).get("Message", "")))
    return f"{code_of(error) or status_of(error)}{': ' if message else ''}{message}"


def error_of(error: ClientError | BotoCoreError, what: str, address: str) -> DbreError:
    """The error of ours for an answer of the service, or for none."""
    words = f"cannot {what} {address}: {_said(error)}"
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Denied(words, hint="give vaults.access_key and secret_key, or what boto3 finds: environment, profile, role")
    if isinstance(error, BotoCoreError):
        return Unreachable(words, hint="look at vaults.endpoint, the network, the certificate")
    code = code_of(error)
    if code == "NoSuchBucket":
        return VaultMisconfigured(words, hint="make the bucket first, with versions and object lock")
    if code in _ABSENT:
        return ObjectMissing(words)
    if code == "RequestTimeTooSkewed":
        return Unreachable(words, hint="the clock of this machine, or of the service, is wrong: see timedatectl")
    if code in _DENIED:
        return Denied(words, hint=_HINTS.get(code, "see the policy of the bucket and of the user"))
    if code in _SLOW or status_of(error) in (429, *range(500, 600)):
        return Unreachable(words, hint="the service is overloaded or out of order: try again later, or set bytes_per_second")
    return VaultUnusable(words)

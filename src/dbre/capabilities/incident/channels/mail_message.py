"""A notice as an e-mail message: plain text, with the headers that make a thread."""

import re
from collections.abc import Sequence
from datetime import UTC
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from dbre.capabilities.incident.channels.wording import plain_text
from dbre.capabilities.incident.notice import Notice, NoticeKind, Urgency
from dbre.core.text import one_line

__all__ = ["mail_message"]

_TEXT = 60_000
_SAFE = re.compile(r"[^A-Za-z0-9.-]")


def mail_message(notice: Notice, *, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """The message. Its id is that of the notice, so that a doubled delivery is one message to a reader's program."""
    message = EmailMessage(policy=SMTP)
    domain = _SAFE.sub("-", sender.rpartition("@")[2])
    message["Message-ID"] = f"<{_SAFE.sub('-', notice.id)}@{domain}>"
    message["From"], message["To"] = sender, ", ".join(recipients)
    message["Subject"] = one_line(notice.title, limit=200)
    message["Date"] = format_datetime(notice.at.astimezone(UTC))
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no reply by a machine
    if notice.thread:
        # No message has this id: it is the root of the thread for every one of them, also for who was not told of the first.
        message["References"] = message["In-Reply-To"] = f"<thread-{_SAFE.sub('-', notice.thread)}@{domain}>"
    if notice.urgency is Urgency.PAGE and notice.kind in (NoticeKind.OPENED, NoticeKind.ESCALATED):
        message["Importance"] = "high"
    message.set_content(plain_text(notice, limit=_TEXT))
    return message

"""E-mail through a relay: SMTP with STARTTLS or TLS."""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage

from dbre.capabilities.incident.channels.documents import EmailDocument
from dbre.capabilities.incident.channels.mail_message import mail_message
from dbre.capabilities.incident.notice import Notice, Receipt
from dbre.core.clock import Clock
from dbre.core.errors import Unreachable
from dbre.core.events import DeliveryRefused
from dbre.core.text import printable

__all__ = ["EmailChannel"]


class EmailChannel:
    """One relay. It is the operator's own server, and so may have any address."""

    def __init__(self, document: EmailDocument, clock: Clock) -> None:
        self._document = document
        self._clock = clock

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self._document.name

    @property
    def _who(self) -> str:
        return f"channel {self._document.name}"

    async def deliver(self, notice: Notice, *, earlier: Receipt | None) -> Receipt | None:
        """Hand one message to the relay.

        Raises: DeliveryRefused where the relay refuses it for good (5xx), Unreachable for anything else.
        """
        recipients = notice.recipients or tuple(self._document.recipients)
        if not recipients:
            return earlier
        message = mail_message(notice, sender=self._document.sender, recipients=recipients)
        password = self._document.password
        word = None if password is None else (await password.resolve()).reveal()
        seconds = self._document.timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                # The thread ends by itself: each wait for the relay has the same limit.
                await asyncio.to_thread(self._send, message, recipients, word)
        except TimeoutError as error:
            raise Unreachable(f"{self._who} did not answer within {seconds:g} s") from error
        except (smtplib.SMTPException, ssl.SSLError, OSError) as error:
            raise self._meaning(error) from error
        return earlier

    def _send(self, message: EmailMessage, recipients: tuple[str, ...], password: str | None) -> None:
        document = self._document
        seconds = document.timeout.total_seconds()
        context = None
        if document.security != "none":
            context = ssl.create_default_context(cafile=None if document.tls_ca_file is None else str(document.tls_ca_file))
        if document.security == "tls":
            relay: smtplib.SMTP = smtplib.SMTP_SSL(document.host, document.port, timeout=seconds, context=context)
        else:
            relay = smtplib.SMTP(document.host, document.port, timeout=seconds)
        with relay:
            if document.security == "starttls":
                relay.starttls(context=context)  # raises where the relay offers none: nothing is sent in the clear
            if document.user is not None and password is not None:
                relay.login(document.user, password)
            refused = relay.send_message(message, from_addr=document.sender, to_addrs=recipients)
        if refused:  # some of several: the others have it, and would get it twice by another attempt
            raise smtplib.SMTPRecipientsRefused({one: (550, answer[1]) for one, answer in refused.items()})

    def _meaning(self, error: Exception) -> Exception:
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            answers = error.recipients
            code, said = next(iter(answers.values()))
            shown = printable(", ".join(answers), limit=200)
            return self._by_code(code, f"{self._who} does not take mail for {shown}: {code} {_text(said)}")
        if isinstance(error, smtplib.SMTPResponseException):
            return self._by_code(error.smtp_code, f"{self._who} answers {error.smtp_code}: {_text(error.smtp_error)}")
        if isinstance(error, smtplib.SMTPNotSupportedError):
            hint = "the relay offers no STARTTLS: set security to tls, or to none without a password"
            return DeliveryRefused(f"{self._who}: {printable(str(error), limit=200)}", hint=hint)
        reason = printable(str(error), limit=200) or type(error).__name__
        return Unreachable(f"{self._who} cannot be reached: {reason}")

    def _by_code(self, code: int, message: str) -> Exception:
        if 500 <= code < 600:
            return DeliveryRefused(message, hint="the relay will not take it; look at its log, then replay the event")
        return Unreachable(message)


def _text(said: bytes | str) -> str:
    return printable(said.decode("utf-8", "replace") if isinstance(said, bytes) else said, limit=200)

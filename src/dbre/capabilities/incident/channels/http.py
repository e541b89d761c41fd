"""What every channel over HTTP does alike: requests to checked addresses, and the meaning of an answer."""

from dbre.capabilities.incident.address_guard import AddressPolicy
from dbre.capabilities.incident.channels.documents import HttpDocument
from dbre.capabilities.incident.posting import Answer, Destination, Request, judge, post
from dbre.core.clock import Clock

__all__ = ["HttpService"]


class HttpService:
    """Sends the requests of one channel."""

    def __init__(self, document: HttpDocument, clock: Clock, *, answer_bytes: int = 512) -> None:
        self._document = document
        self._clock = clock
        self._answer_bytes = answer_bytes

    @property
    def who(self) -> str:
        """How messages name it; never the URL, which is a secret with some services."""
        return f"channel {self._document.name}"

    async def exchange(self, url: str, request: Request) -> Answer:
        """Send a request, whatever the answer says. Raises: DeliveryRefused, Unreachable."""
        document = self._document
        destination = Destination(
            who=self.who,
            url=url,
            timeout_seconds=document.timeout.total_seconds(),
            policy=AddressPolicy(allow_loopback=document.allow_loopback, allow_private=document.allow_private),
            tls_ca_file=document.tls_ca_file,
            answer_bytes=self._answer_bytes,
        )
        return await post(destination, request)

    def judge(self, answer: Answer) -> None:
        """Let only a success pass. Raises: DeliveryRefused, DeliveryPostponed, Unreachable."""
        judge(answer, self.who, self._clock.now())

    async def send(self, url: str, request: Request) -> Answer:
        """Send a request and let only a success pass. Raises: DeliveryRefused, DeliveryPostponed, Unreachable."""
        answer = await self.exchange(url, request)
        self.judge(answer)
        return answer

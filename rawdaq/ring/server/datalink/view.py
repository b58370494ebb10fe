"""What readers of DataLink get: a view for those with the same expressions."""

from weakref import WeakValueDictionary

from rawdaq.protocols.datalink.expressions import Expression
from rawdaq.ring.packets import RingPacket
from rawdaq.ring.sending import MAX_REMEMBERED, View
from rawdaq.sockets.server.websocket import message_frame


class DataLinkView(View):
    """What readers get who select the same streams.

    Args:
        match: what the name of a stream must match; None: nothing.
        reject: what it must not match; None: nothing.
        is_websocket: whether each packet is a message.
    """

    def __init__(self, match: Expression | None, reject: Expression | None, is_websocket: bool) -> None:
        self.match, self.reject = match, reject
        self._is_websocket = is_websocket
        self._answers: dict[str, bool] = {}

    def may_send(self, name: str) -> bool:
        """Whether packets of the stream *name* are sent."""
        try:
            return self._answers[name]
        except KeyError:
            if len(self._answers) >= MAX_REMEMBERED:
                self._answers.clear()
            is_matched = self.match is None or self.match.selects(name)
            answer = self._answers[name] = is_matched and not (self.reject is not None and self.reject.selects(name))
            return answer

    def frame(self, packet: RingPacket) -> bytes:
        """Return *packet* as it is sent; empty when it is not."""
        if not self.may_send(packet.name):
            return b""
        return message_frame(packet.datalink()) if self._is_websocket else packet.datalink()


class DataLinkViews:
    """The views of all readers; those with the same expressions share one."""

    def __init__(self) -> None:
        self._views: WeakValueDictionary[tuple[str | None, str | None, bool], DataLinkView] = WeakValueDictionary()

    def get(self, match: Expression | None, reject: Expression | None, is_websocket: bool) -> DataLinkView:
        """Return the view of readers with these expressions."""
        key = (match.text if match else None, reject.text if reject else None, is_websocket)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = DataLinkView(match, reject, is_websocket)
        return view

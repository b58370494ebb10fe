"""Whether anybody is at the other end of a ZMQ socket, by what libzmq's monitor tells, in few lines of the log."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import zmq

#: What the monitor is asked for. How a connection begins is not among it, as it says nothing.
EVENTS: Final = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_ACCEPTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)

_PATIENCE_S = 3.0  # a peer that starts at the same time as we has come by then
_GIVEN_UP_S = 5.0  # ZMQ dials again at once, or never
_STEADY_S = 60.0  # a connection that lasted so long was no accident
_REMIND_S = 600.0  # an absence that goes on for days is told again this often


class _Words(NamedTuple):
    """What is told of an absence."""

    nobody: str
    stranger: str
    other_kind: str
    ended: str
    tail: str


_KINDS = "`pattern: sub` reads PUB sockets, `pull` PUSH sockets"
_DIALLED = _Words(
    "nothing answers there: does it run, and are host and port right?",
    "what listens there does not speak ZMQ with us: is the port right, or does its log say why it turns us away?",
    f"a ZMQ socket of another kind listens there: {_KINDS}",
    "the connection has ended",
    "; trying again",
)
_BOUND = _Words(
    "nobody is connected: do the senders run, and do they dial this address?",
    "who connects does not speak ZMQ with us: what is it that dials this address?",
    f"a ZMQ socket of another kind connects: {_KINDS}",
    "the last sender has gone",
    "",
)
_NO_NAME = "the host name cannot be resolved: is it right, and does the name server answer?"
_CUT = "we cut the connection, for a message larger than max_message_mb or one that breaks ZMQ's rules"


class Presence:
    """Who is at the other end; the log gets a line when somebody comes, and one for each cause of an absence.

    ZMQ dials ten times a second. So a peer that never comes is told after some seconds, and one that comes and goes
    must stay longer each time before it counts as there again, up to a minute.

    Args:
        address: the socket's.
        is_bound: whether peers connect to us.
        log: where it is told.
        clock: seconds that only run forward.

    Attributes:
        address: may be set again when the port is known.
        peers: how many are connected and speak ZMQ.
    """

    def __init__(
        self, address: str, is_bound: bool, log: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.address = address
        self.peers = 0
        self._is_bound = is_bound
        self._words = _BOUND if is_bound else _DIALLED
        self._log = log
        self._clock = clock
        self._failure: str | None = None
        self._greeting: list[int] = []  # connections that have not yet proved to be ZMQ
        self._last_event = 0
        self._last_event_s = self._came_s = self._gone_s = clock()
        self._is_there = False  # as the log has it
        self._has_been_there = False
        self._settle_s = 0.0
        self._told: dict[str, float] = {}

    @property
    def is_given_up(self) -> bool:
        """Whether ZMQ will not dial again; it does so where a peer breaks the rules, or is of another kind."""
        is_at_end = not self._is_bound and self._last_event == zmq.EVENT_DISCONNECTED
        return is_at_end and self._clock() - self._last_event_s >= _GIVEN_UP_S

    def note(self, event: int, value: int) -> None:
        """Take note of what the monitor tells: an event, and its value, which often is a descriptor."""
        match event:
            case zmq.EVENT_CONNECTED | zmq.EVENT_ACCEPTED:
                self._greeting.append(value)
            case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._come()
            case zmq.EVENT_DISCONNECTED:
                self._leave(value)
            case zmq.EVENT_CLOSED:
                self._fail(self._words.nobody)
            case zmq.EVENT_CONNECT_RETRIED:
                if self._last_event in (0, event):  # it did not even try
                    self._fail(_NO_NAME)
            case _:
                self._fail(self._words.stranger)
        self._last_event, self._last_event_s = event, self._clock()
        self.tell()

    def _fail(self, reason: str) -> None:
        if not self.peers:  # a stranger does not matter while others are there
            self._failure = reason

    def _come(self) -> None:
        del self._greeting[:1]  # the monitor does not say which it is: most likely the oldest
        self.peers += 1
        if self.peers == 1:
            self._came_s = self._clock()

    def _leave(self, descriptor: int) -> None:
        if descriptor in self._greeting:
            self._greeting.remove(descriptor)
            if self._last_event in (zmq.EVENT_CONNECTED, zmq.EVENT_ACCEPTED):  # a failed handshake would be told before
                self._fail(self._words.other_kind)
            return
        self.peers = max(0, self.peers - 1)
        self._fail(self._words.ended)
        if self._is_there and not self.peers:
            self._gone_s = self._clock()
            is_steady = self._gone_s - self._came_s >= _STEADY_S
            self._settle_s = 0.0 if is_steady else min(max(1.0, 2 * self._settle_s), _STEADY_S)
            self._is_there = False
            self._tell_absence(self._words.ended)

    def tell(self) -> None:
        """Tell what is due by now; call it once a second."""
        now_s = self._clock()
        if self.peers:
            if not self._is_there and now_s - self._came_s >= self._settle_s:
                self._tell_presence()
            return
        if now_s - self._gone_s < _PATIENCE_S:
            return
        if self.is_given_up and self._failure == self._words.ended:
            self._failure = _CUT
        elif self._greeting and now_s - self._last_event_s >= _PATIENCE_S:
            self._failure = self._words.stranger  # it says nothing; ZMQ itself waits for half a minute
        self._failure = self._failure or self._words.nobody
        if now_s - self._told.get(self._failure, -_REMIND_S) >= _REMIND_S:
            self._tell_absence(self._failure)

    def _tell_presence(self) -> None:
        away = f" again after {self._came_s - self._gone_s:.1f} s" if self._has_been_there else ""
        if self._is_bound:
            self._log.info("a sender is connected to %s%s", self.address, away)
        else:
            self._log.info("connected to %s%s", self.address, away)
        self._is_there = self._has_been_there = True
        self._told.clear()

    def _tell_absence(self, reason: str) -> None:
        self._told[reason] = self._clock()
        self._log.warning("%s: %s%s", self.address, reason, self._words.tail)

    def status(self) -> dict[str, Any]:
        """Return what `status` shows of the other end."""
        shown = {"connected": bool(self.peers), "last_failure": None if self.peers else self._failure}
        return shown | {"peers": self.peers} if self._is_bound else shown

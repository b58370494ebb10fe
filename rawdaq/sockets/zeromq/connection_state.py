"""Whether a ZMQ socket has a peer, by the events of libzmq's monitor, in few lines of the log."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import zmq

from rawdaq.open_files import REMEDY, first_for_commands
from rawdaq.outage import Outage

#: The events that the monitor is asked for, without those that only report that a connection begins.
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

_PATIENCE_S = 3.0  # a peer that starts at the same time as we has connected by then
_STEADY_S = 60.0  # a connection that lasted so long was no accident
_REMIND_S = 600.0  # a failure that goes on for days is logged again this often

_NO_NAME = "the host name cannot be resolved: is it right, and does the name server answer?"
_CUT = "we cut the connection, for a message that is too large (max_message_mb) or breaks ZMQ's rules"
_ONE_ENCRYPTS = "only one of the two sides encrypts: give both the option `curve`, or neither"


class _Words(NamedTuple):
    """The reasons why there is no peer, and what is logged with them."""

    absent: str
    no_zmq: str
    wrong_key: str
    refused_key: str
    other_kind: str
    ended: str
    tail: str


_KINDS = "PUB goes with SUB, PUSH with PULL"
_CONNECTING = _Words(
    "nothing answers there: does it run, and are host and port right?",
    "what listens there does not speak ZMQ with us: is the port right, or does its log say why it refuses us?",
    "what listens there does not have the key in `server_key`, or does not encrypt",
    "it refuses our key: is our public key file in its folder of clients?",
    f"a ZMQ socket of another kind listens there: {_KINDS}",
    "the connection has ended",
    "; trying again",
)
_BOUND = _Words(
    "no peer is connected: do the other programs run, and do they connect to this address?",
    "a program that connects does not speak ZMQ with us: which program connects to this address?",
    "a program that connects has another key in `server_key` than ours, or does not encrypt",
    "a program that connects has a key that is not in our folder of clients",
    f"a ZMQ socket of another kind connects: {_KINDS}",
    "the last peer has disconnected",
    "",
)


class ConnectionState:
    """Counts the peers of a socket; the log has a line when the first connects, and one for each cause of an absence.

    ZMQ connects ten times a second. So a peer that never answers is logged after some seconds, and one that comes and
    goes must stay longer each time before it counts as connected again, up to a minute.

    Args:
        address: the socket's.
        is_bound: whether peers connect to us.
        log: where the lines go.
        clock: seconds that only run forward.
        has_key: whether our side encrypts.
        needs_peer: False where it is normal that no peer is there, which is then not logged.

    Attributes:
        address: may be set again when the port is known.
        peers: how many are connected and speak ZMQ.
        last_failure: why there is no peer.
        cuts: how often we cut the connection, where that can be known: ZMQ does not connect again then.
    """

    def __init__(
        self,
        address: str,
        is_bound: bool,
        log: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
        *,
        has_key: bool = False,
        needs_peer: bool = True,
    ) -> None:
        self.address = address
        self.peers = 0
        self.last_failure: str | None = None
        self.cuts = 0
        self._is_bound, self._has_key, self._needs_peer = is_bound, has_key, needs_peer
        self._words = _BOUND if is_bound else _CONNECTING
        self._log = log
        self._clock = clock
        self._greeting: list[int] = []  # connections that have not yet proved to be ZMQ
        self._last_event = 0
        self._last_event_s = self._connected_s = self._ended_s = clock()
        self._is_connected = False  # as the log has it
        self._was_connected = False
        self._settle_s = 0.0
        self._failures: dict[str, Outage] = defaultdict(lambda: Outage(log, _REMIND_S, clock))
        self._short = Outage(log, _REMIND_S, clock)

    def note(self, event: int, value: int) -> None:
        """Take note of an event of the monitor, and of its value, which often is a descriptor."""
        match event:
            case zmq.EVENT_CONNECTED | zmq.EVENT_ACCEPTED:
                self._greeting.append(value)
                self._check_descriptor(value)
            case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._connect()
            case zmq.EVENT_DISCONNECTED:
                self._disconnect(value)
            case zmq.EVENT_CLOSED:
                self._fail(self._words.absent)
            case zmq.EVENT_CONNECT_RETRIED:
                pass
            case _:
                self._refuse(event, value)
        self._last_event, self._last_event_s = event, self._clock()
        self.check()

    def note_unresolved(self) -> None:
        """Take note that the host name has no address."""
        self._fail(_NO_NAME)
        self.check()

    def note_given_up(self) -> None:
        """Take note that ZMQ will not connect again: somebody broke its rules, is of another kind, or refused a key."""
        if self.last_failure == self._words.ended:
            self.last_failure = _CUT
            self.cuts += 1
        self.check()

    def _refuse(self, event: int, value: int) -> None:
        """Take note of a failed handshake; others may be connected meanwhile, so it is logged at once where we bind."""
        reason = self._words.wrong_key if self._has_key else self._words.no_zmq
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            reason = self._words.refused_key
        elif value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
            reason = _ONE_ENCRYPTS
        self._fail(reason)
        if self._is_bound:
            self._log_failure(reason)

    def _check_descriptor(self, descriptor: int) -> None:
        """Log that a connection has one of the last descriptors: ZMQ accepts connections until none is left."""
        if descriptor >= first_for_commands() and self._short.is_due:
            text = "%s: hardly any open files are left, and commands may soon not be answered; %s"
            self._short.log(text, self.address, REMEDY)

    def _fail(self, reason: str) -> None:
        if not self.peers:
            self.last_failure = reason

    def _connect(self) -> None:
        del self._greeting[:1]  # the monitor does not name it: most likely the oldest
        self.peers += 1
        if self.peers == 1:
            self._connected_s = self._clock()

    def _disconnect(self, descriptor: int) -> None:
        if descriptor in self._greeting:
            self._greeting.remove(descriptor)
            if self._last_event in (zmq.EVENT_CONNECTED, zmq.EVENT_ACCEPTED):  # a failed handshake comes before
                self._fail(self._words.other_kind)
            return
        self.peers = max(0, self.peers - 1)
        self._fail(self._words.ended)
        if self._is_connected and not self.peers:
            self._ended_s = self._clock()
            is_steady = self._ended_s - self._connected_s >= _STEADY_S
            self._settle_s = 0.0 if is_steady else min(max(1.0, 2 * self._settle_s), _STEADY_S)
            self._is_connected = False
            self._log_failure(self._words.ended)

    def check(self) -> None:
        """Log what is due by now; call it once a second."""
        now_s = self._clock()
        if self.peers:
            if not self._is_connected and now_s - self._connected_s >= self._settle_s:
                self._log_connected()
            return
        if now_s - self._ended_s < _PATIENCE_S:
            return
        if self._greeting and now_s - self._last_event_s >= _PATIENCE_S:
            self.last_failure = self._words.no_zmq  # it sends nothing; ZMQ itself waits for half a minute
        self.last_failure = self.last_failure or self._words.absent
        self._log_failure(self.last_failure)

    def _log_connected(self) -> None:
        again = f" again after {self._connected_s - self._ended_s:.1f} s" if self._was_connected else ""
        self._log.info("%s %s%s", "a peer is connected to" if self._is_bound else "connected to", self.address, again)
        self._is_connected = self._was_connected = True
        self._failures.clear()

    def _log_failure(self, reason: str) -> None:
        is_normal = not self._needs_peer and reason in (self._words.absent, self._words.ended)
        if self._failures[reason].is_due and not is_normal:
            self._failures[reason].log("%s: %s%s", self.address, reason, self._words.tail)

    def status(self) -> dict[str, Any]:
        """Return what `status` shows of the peers."""
        shown = {"connected": bool(self.peers), "last_failure": None if self.peers else self.last_failure}
        return shown | {"peers": self.peers} if self._is_bound else shown

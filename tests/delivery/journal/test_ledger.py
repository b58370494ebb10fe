"""A ledger knows the first sample of each stream that is not in a delivered record, whatever was refused between."""

from rawdaq.delivery.journal.ledger import Place, SampleLedger
from rawdaq.miniseed.format import RecordRun
from rawdaq.miniseed.stream import RecordCounts
from rawdaq.stream_id import StreamId
from tests.fanouts import HHN
from tests.makers import STREAM


class Ledger(SampleLedger):
    """One for which a test says what was refused."""

    def __init__(self) -> None:
        self.counts = {STREAM: RecordCounts(), HHN: RecordCounts()}
        super().__init__(self.counts.get)

    def make(self, *counts: int, stream: StreamId = STREAM) -> RecordRun:
        run = RecordRun(stream, [0] * len(counts), counts, 100.0, bytes(len(counts)))
        self.made([run])
        return run


def test_records_begin_anywhere_in_a_packet() -> None:
    ledger = Ledger()
    for position in (10, 11, 12):
        ledger.enter(STREAM, Place(position, 0), 100)
    first, second = ledger.make(150), ledger.make(70, 30)
    assert ledger.places() == ({STREAM: Place(10, 0)}, 10)
    ledger.delivered(first)
    assert ledger.places() == ({STREAM: Place(11, 50)}, 11)
    ledger.delivered(second)
    assert ledger.places() == ({STREAM: Place(12, 50)}, 12)
    ledger.delivered(ledger.make(50))
    assert ledger.places() == ({STREAM: Place(13, 0)}, None)


def test_the_lowest_of_all_streams_is_told() -> None:
    ledger = Ledger()
    ledger.enter(STREAM, Place(10, 0), 100)
    ledger.enter(HHN, Place(11, 0), 100)
    ledger.delivered(ledger.make(100))
    assert ledger.places() == ({STREAM: Place(11, 0), HHN: Place(11, 0)}, 11)
    ledger.delivered(ledger.make(20, stream=HHN))
    assert ledger.places() == ({STREAM: Place(11, 0), HHN: Place(11, 20)}, 11)


def test_what_is_refused_is_done_when_what_came_before_it_is() -> None:
    ledger = Ledger()
    ledger.enter(STREAM, Place(10, 0), 100)
    ledger.counts[STREAM].refused = 100
    assert ledger.places() == ({STREAM: Place(11, 0)}, None)
    ledger.enter(STREAM, Place(11, 0), 100)
    run = ledger.make(100)
    ledger.enter(STREAM, Place(12, 0), 100)
    ledger.counts[STREAM].refused = 200
    assert ledger.places() == ({STREAM: Place(11, 0)}, 11)
    ledger.delivered(run)
    assert ledger.places() == ({STREAM: Place(13, 0)}, None)


def test_what_is_refused_behind_records_of_the_same_call_follows_them() -> None:
    ledger = Ledger()
    ledger.enter(STREAM, Place(10, 0), 300)
    ledger.counts[STREAM].refused = 100
    runs = [RecordRun(STREAM, [0], [100], 100.0, b"1"), RecordRun(STREAM, [0], [100], 100.0, b"2")]
    ledger.made(runs)
    ledger.delivered(runs[0])
    assert ledger.places()[0] == {STREAM: Place(10, 100)}
    ledger.delivered(runs[1])
    assert ledger.places() == ({STREAM: Place(11, 0)}, None)


def test_a_stream_goes_on_where_its_mark_is_and_parts_keep_their_index() -> None:
    ledger = Ledger()
    ledger.begin({STREAM: Place(20, 30), HHN: Place(25, 0)})
    assert ledger.places() == ({STREAM: Place(20, 30), HHN: Place(25, 0)}, None)
    ledger.enter(STREAM, Place(20, 30), 70)
    ledger.enter(STREAM, Place(21, 50), 10)  # what stands around it is there already
    ledger.enter(STREAM, Place(21, 100), 0)
    assert ledger.places()[0][STREAM] == Place(20, 30)
    ledger.delivered(ledger.make(75))
    assert ledger.places()[0][STREAM] == Place(21, 55)
    ledger.delivered(ledger.make(5))
    assert ledger.places() == ({STREAM: Place(22, 0), HHN: Place(25, 0)}, None)


def test_records_may_be_delivered_before_it_is_known_what_they_were_made_of() -> None:
    ledger = Ledger()
    ledger.delivered(ledger.make(60))
    ledger.enter(STREAM, Place(10, 0), 100)
    assert ledger.places() == ({STREAM: Place(10, 60)}, 10)

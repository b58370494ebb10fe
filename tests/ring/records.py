"""miniSEED records made by hand: what is in one follows from its number, so one look tells lost, doubled and moved."""

import struct
from datetime import UTC, datetime, timedelta

from rawdaq.ring.packets import NewPacket

NS_PER_S = 1_000_000_000
START_S = 1_795_219_200  # 2026-11-21T00:00:00Z
START_NS = START_S * NS_PER_S
RATE_HZ = 100
SAMPLES = 100  # one second

#: Stations and channels of the streams of `packets`, in turn.
STREAMS = (("XX", "AAA", "00", "HHZ"), ("XX", "AAA", "00", "HHN"), ("XX", "BBB", "", "HHZ"), ("YY", "CCC", "", "BHZ"))


def start_ns(number: int) -> int:
    """Return the time of the first sample of record *number*."""
    return START_NS + number * NS_PER_S


def record(number: int, codes: tuple[str, str, str, str] = STREAMS[0], length_bytes: int = 512) -> bytes:
    """Return a record of a second of samples that count up from 100 times *number*; short ones hold fewer."""
    network, station, location, channel = codes
    when = datetime.fromtimestamp(START_S, UTC) + timedelta(seconds=number)
    head = f"{number % 1_000_000:06d}D {station:<5}{location:<2}{channel}{network:<2}".encode()
    count = min(SAMPLES, (length_bytes - 64) // 4)
    time = (when.year, when.timetuple().tm_yday, when.hour, when.minute, when.second, 0)
    head += struct.pack(">HHBBBxH", *time)
    head += struct.pack(">HhhBBBBiHH", count, RATE_HZ, 1, 0, 0, 0, 1, 0, 64, 48)
    head += struct.pack(">HHBBBB", 1000, 0, 3, 1, length_bytes.bit_length() - 1, 0)
    samples = struct.pack(f">{count}i", *range(number * SAMPLES, number * SAMPLES + count))
    return (head.ljust(64, b"\0") + samples).ljust(length_bytes, b"\0")


def name(codes: tuple[str, str, str, str]) -> str:
    """Return how DataLink calls a stream."""
    network, station, location, channel = codes
    return f"FDSN:{network}_{station}_{location}_{'_'.join(channel)}/MSEED"


def packet(number: int, codes: tuple[str, str, str, str] | None = None) -> NewPacket:
    """Return record *number* as it is put into a ring, of the streams in turn or of the one with *codes*."""
    codes = STREAMS[number % len(STREAMS)] if codes is None else codes
    begin_ns = start_ns(number)
    return NewPacket(name(codes), begin_ns, begin_ns + (SAMPLES - 1) * NS_PER_S // RATE_HZ, record(number, codes))


def packets(first: int, count: int) -> list[NewPacket]:
    """Return records from number *first* on."""
    return [packet(number) for number in range(first, first + count)]


def number_of(data: bytes) -> int:
    """Return the number of a record, which must be as it was made."""
    (first,) = struct.unpack_from(">i", data, 64)
    number = int(first) // SAMPLES
    codes = (data[18:20], data[8:13], data[13:15], data[15:18])
    made = record(number, tuple(code.decode().strip() for code in codes), len(data))  # type: ignore[arg-type]
    assert made == data, f"record {number} is not as it was made"
    return number

"""Sessions of the real C client with a responder, as they were captured; `#` begins what is said of a line.

Of the lists only some entries were written down; `frame` makes those between them.
"""

from tests.isi.wire import pieces


def captured(text: str) -> bytes:
    """Return the bytes of a capture."""
    return b"".join(bytes.fromhex(line.partition("#")[0].replace("|", " ")) for line in text.splitlines())


def frame(sequence: int, kind: int, payload: bytes = b"") -> bytes:
    """Return a whole frame."""
    return b"".join(pieces(sequence, kind, payload))


HANDSHAKE = captured("""
    49 41 43 50 00 00 00 00 00 00 00 01 00 00 00 34   # sequence 0, type 1, 52 bytes
    00 00 00 04 | 00 00 00 02 00 00 00 04 00 00 4e 51 | 00 00 00 03 00 00 00 04 00 00 75 30
    00 00 00 04 00 00 00 04 00 00 00 00 | 00 00 00 05 00 00 00 04 00 00 00 00
    00 00 00 00 00 00 00 00                           # key id, signature length
""")
CLIENT_PID, SERVER_PID = 0x4E51, 0x4E26
SERVER_HANDSHAKE = HANDSHAKE.replace(CLIENT_PID.to_bytes(4), SERVER_PID.to_bytes(4))

REQ_SOH = captured("49 41 43 50 00 00 00 01 00 00 03 e9 00 00 00 00 00 00 00 00 00 00 00 00")
STREAM_SOH = captured("""
    49 41 43 50 00 00 00 01 00 00 03 f1 00 00 00 30
    63 6f 63 6f 00 00 00 62 68 7a 32 30               # coco bhz 20
    41 cf dd 45 b8 00 00 00 80 00                     # oldest 1069190000.0, status 8000
    41 cf dd ee 78 40 00 00 80 00                     # youngest 1069276400.5
    40 08 00 00 00 00 00 00 00 00 00 02 00 05 74 e8   # 3.0 s, 2 segments, 357608 records
    00 00 00 00 00 00 00 00
""")
NOP = captured("49 41 43 50 00 00 00 02 00 00 00 65 00 00 00 00 00 00 00 00 00 00 00 00")
EMPTY_SOH = captured("""
    70 66 6f 00 00 00 00 6c 68 7a 20 20 | bf f0 00 00 00 00 00 00 80 00 | bf f0 00 00 00 00 00 00 80 00
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
""")
SOH_NULL = captured("49 41 43 50 00 00 00 06 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00")
SOH_ALERT = captured("49 41 43 50 00 00 00 07 00 00 00 64 00 00 00 04 00 00 00 02 00 00 00 00 00 00 00 00")

REQ_CNF = captured("49 41 43 50 00 00 00 01 00 00 03 ea 00 00 00 00 00 00 00 00 00 00 00 00")
STREAM_CNF = captured("""
    49 41 43 50 00 00 00 01 00 00 03 f3 00 00 00 37
    63 6f 63 6f 00 00 00 62 68 7a 32 30 00 28 00 01    # name, 40/1
    c1 43 0a a6 42 c1 ab 78 40 40 00 00 42 8c 00 00    # -12.1901 96.8349 3.0 70.0
    00 00 00 00 bf 80 00 00 c4 79 f9 9a c4 79 f9 9a    # 0.0 -1.0 -999.9 -999.9
    2d 00 00 00 00 00 00 | 00 00 00 00 00 00 00 00     # "-", trailer
""")

GARBAGE = bytes.fromhex("00 00 e9")  # what stood after the NULs of this name, one after the other
SPEC = captured("63 6f 63 6f 00 00 00 2a 00 e9 2a 00              # coco * *")
TIMES = captured("41 cf dd 44 28 00 00 00 41 cf dd 59 40 00 00 00 # 2003:322-21:00:00 .. 2003:323")
REQUEST = captured("""
    49 41 43 50 00 00 00 01 | 00 00 03 ec 00 00 00 04 | 00 00 00 01 | 00 00 00 00 00 00 00 00
    49 41 43 50 00 00 00 02 | 00 00 03 ed 00 00 00 04 | 00 00 00 01 | 00 00 00 00 00 00 00 00
    49 41 43 50 00 00 00 03 | 00 00 03 ee 00 00 00 04 | 00 00 00 02 | 00 00 00 00 00 00 00 00
    49 41 43 50 00 00 00 04 00 00 03 ef 00 00 00 1c
    63 6f 63 6f 00 00 00 2a 00 e9 2a 00              # coco * *
    41 cf dd 44 28 00 00 00 41 cf dd 59 40 00 00 00  # 2003:322-21:00:00 .. 2003:323
    00 00 00 00 00 00 00 00
    49 41 43 50 00 00 00 05 00 00 00 00 00 00 00 04 | 00 00 00 00 | 00 00 00 00 00 00 00 00
""")
COMPRESS_AT = 28 + 16  # where the value of COMPRESS begins: after FORMAT and a preamble

# The acknowledgement was written down in words: the values as they came, TWIND coco.bhz.20 and coco.bhn.20, NULL.
ACKNOWLEDGEMENT = (
    REQUEST[: 3 * 28]
    + frame(4, 1007, captured("63 6f 63 6f 00 00 00 62 68 7a 32 30") + TIMES)
    + frame(5, 1007, captured("63 6f 63 6f 00 00 00 62 68 6e 32 30") + TIMES)
    + frame(6, 0, bytes(4))
)
SAMPLES = [100, 101, 99, 162, 98, -1000, 100000, 100000]
TOFS = 1069190000.0
_SERIES_HEAD = """
    63 6f 63 6f 00 00 00 62 68 7a 32 30 00 28 00 01  # name, 40/1
    41 cf dd 45 b8 00 00 00 00 01                    # tofs 1069190000.0 locked
    41 cf dd 45 b8 16 66 66 00 01                    # tols +0.175
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # CD status
"""
SERIES = captured(f"""
    49 41 43 50 00 00 00 07 00 00 03 f4 00 00 00 60
    {_SERIES_HEAD}
    00 00 00 08 00 00 00 20 01 03 01 04              # 8 samples, 32 bytes, none/int32/big/4
    00 00 00 64 00 00 00 65 00 00 00 63 00 00 00 a2 00 00 00 62 ff ff fc 18 00 01 86 a0 00 01 86 a0
    00 00 00 00 00 00 00 00
""")
IDA_PAYLOAD = captured(f"""
    {_SERIES_HEAD}
    00 00 00 08 00 00 00 0d 02 03 01 04              # 8 samples, 13 bytes, IDA/int32/big/4
    c8 01 02 05 7e 81 01 95 11 90 aa 0c 00
""")
IDA_SERIES = frame(7, 1012, IDA_PAYLOAD)

REQ_SEQNO = captured("""
    2a 00 00 00 00 00 00 | ff ff ff fe 00 00 00 00 00 00 00 00 | ff ff ff fd 00 00 00 00 00 00 00 00
""")
RAW_BEGIN = captured("""
    00 00 00 01 00 00 00 07 70 66 6f 00 00 00 00 | 00 00 00 02 00 00 00 0c 45 b5 66 15 00 00 00 00 00 00 03 e8
    00 00 00 03 00 00 00 04 05 0b ff 01
""")

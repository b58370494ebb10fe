"""Files are found by name, recognized by content, and what is wrong with one is logged once, with its reason."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawdaq.miniseed.file import Extent
from rawdaq.packet import Packet
from rawdaq.replay.merge import BEGINNING_NS
from rawdaq.replay.names import StreamNames
from rawdaq.replay.sources import FileRefused, Piece, Problems, Source, Unloaded, find_files, open_source
from tests.helpers import environment
from tests.makers import START_NS, STREAM
from tests.waveform_makers import NORTH, noise, pairs, records, text_record, write

obspy: Any = import_module("obspy")  # it has no types


class Logged(list[str]):
    """Keeps what is logged."""

    def problems(self, is_strict: bool = False) -> Problems:
        return Problems(self.append, is_strict)


def source_of(path: Path, logged: Logged | None = None, names: StreamNames | None = None) -> Source:
    source = open_source(path, names or StreamNames(), (logged if logged is not None else Logged()).problems())
    assert source is not None
    return source


def pieces(source: Source, begin_ns: int = BEGINNING_NS) -> list[Piece]:
    loaded = [unloaded.load() for part in source.open(begin_ns) for unloaded in part]
    return [piece for piece in loaded if isinstance(piece, Piece)]


def samples(found: Sequence[Piece], stream: Any = STREAM) -> list[tuple[int, float]]:
    return pairs([Packet(*piece[:5]) for piece in found], stream)


def trace(size: int = 50, start_ns: int = START_NS, **header: Any) -> Any:
    codes = {"network": "XX", "station": "DEMO", "location": "00", "channel": "HHZ", "sampling_rate": 100.0}
    data = np.arange(size, dtype="float32")
    return obspy.Trace(data, {**codes, "starttime": obspy.UTCDateTime(ns=start_ns), **header})


# ---------------------------------------------------------------------- finding


def test_files_folders_and_patterns_name_files_each_once(tmp_path: Path) -> None:
    for name in ("b.mseed", "a.mseed", "deep/c.mseed", "deep/er/d.sac", ".hidden", "deep/.git/e"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    logged = Logged()

    def found(*patterns: str) -> list[str]:
        paths = find_files([f"{tmp_path}/{pattern}" for pattern in patterns], logged.problems())
        return [path.relative_to(tmp_path).as_posix() for path in paths]

    assert found("a.mseed") == ["a.mseed"]
    assert found("") == ["a.mseed", "b.mseed", "deep/c.mseed", "deep/er/d.sac"]
    assert found("*.mseed", "a.mseed", "deep") == ["a.mseed", "b.mseed", "deep/c.mseed", "deep/er/d.sac"]
    assert found("**/*.mseed") == ["a.mseed", "b.mseed", "deep/c.mseed"]
    assert found(".hidden") == [".hidden"]
    assert logged == []


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a[1].mseed", [noise()])
    (tmp_path / "a1.mseed").touch()
    assert find_files([path], Logged().problems()) == [path]


def test_relative_names_start_from_a_folder_however_it_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "[odd]*"
    folder.mkdir()
    for name in ("a.mseed", "b.mseed"):
        (folder / name).touch()
    logged = Logged()
    assert find_files(["b.mseed", "*.mseed"], logged.problems(), folder) == [folder / "b.mseed", folder / "a.mseed"]
    assert find_files([folder / "a.mseed"], logged.problems(), tmp_path) == [folder / "a.mseed"]
    assert logged == []


def test_the_home_folder_may_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a").touch()
    assert find_files(["~/a"], Logged().problems()) == [tmp_path / "a"]


def test_a_pattern_without_a_file_is_logged(tmp_path: Path) -> None:
    logged = Logged()
    assert find_files([tmp_path / "absent", f"{tmp_path}/*.nothing"], logged.problems()) == []
    assert logged == [
        f"{tmp_path}/absent: no such file; skipped",
        f"{tmp_path}/*.nothing: no file has such a name; skipped",
    ]
    with pytest.raises(FileRefused, match="absent: no such file"):
        find_files([tmp_path / "absent"], logged.problems(is_strict=True))


# ---------------------------------------------------------------------- miniSEED


@pytest.mark.parametrize("version", [2, 3])
def test_miniseed_gives_its_records_whatever_its_name(tmp_path: Path, version: int) -> None:
    packets = [noise(size=3000), noise(NORTH, size=2000)]
    source = source_of(write(tmp_path / "a.sac", packets, version))
    assert source.extent.start_ns == START_NS
    found = pieces(source)
    assert len(found) > 2
    for packet in packets:
        assert samples(found, packet.stream) == pairs(packets, packet.stream)
    assert {piece.timing_quality for piece in found} == {90}


def test_only_selected_streams_are_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [noise(size=3000), noise(NORTH, size=2000)])
    found = pieces(source_of(path, names=StreamNames(["*.HHN"], {"*": "YY.*.*.*"})))
    assert {str(piece.stream) for piece in found} == {"YY.DEMO.00.HHN"}


def test_records_that_end_before_a_time_are_left_out(tmp_path: Path) -> None:
    source = source_of(write(tmp_path / "a", [noise(size=60_000)]))
    begin_ns = START_NS + 300 * 10**9
    found = pieces(source, begin_ns)
    assert found[0].start_ns <= begin_ns <= found[0].start_ns + 10 * 10**9
    assert samples(found) == [pair for pair in pairs([noise(size=60_000)]) if pair[0] >= found[0].start_ns]
    assert pieces(source, source.extent.end_ns + 1) == []


def test_a_record_without_a_waveform_is_left_out_and_is_not_damage(tmp_path: Path) -> None:
    (record,) = records([noise(size=50)])
    nothing = record[:30] + b"\0\0" + record[32:]
    path = tmp_path / "a"
    path.write_bytes(text_record() + nothing + record)
    logged = Logged()
    source = open_source(path, StreamNames(), logged.problems(is_strict=True))
    assert source is not None
    assert samples(pieces(source)) == pairs([noise(size=50)])
    assert logged == [
        f"{path}: a record of XX.DEMO.00.LOG that holds no waveform is left out",
        f"{path}: a record of XX.DEMO.00.HHZ without samples is left out",
    ]


def test_text_without_a_rate_is_left_out_too(tmp_path: Path) -> None:
    record = bytearray(text_record())
    record[32:36] = bytes(4)
    path, logged = tmp_path / "a", Logged()
    path.write_bytes(record)
    assert pieces(source_of(path, logged)) == []
    assert logged == [f"{path}: a record of XX.DEMO.00.LOG that holds no waveform is left out"]


def test_damage_is_logged_with_its_place_and_passed(tmp_path: Path) -> None:
    made = records([noise(size=3000)], 3)
    path, logged = tmp_path / "a", Logged()
    path.write_bytes(b"".join([made[0], made[1][:-1] + b"!", *made[2:]]))
    problems = logged.problems()
    source = open_source(path, StreamNames(), problems)
    assert source is not None
    assert len(pieces(source)) == len(made) - 1
    where = f"{len(made[1])} bytes at offset {len(made[0])}"
    assert logged == [f"{path}: {where} are skipped: its checksum is wrong"]
    assert problems.damages == 1
    strict = open_source(path, StreamNames(), logged.problems(is_strict=True))
    assert strict is not None
    with pytest.raises(FileRefused, match="its checksum is wrong"):
        pieces(strict)


@pytest.mark.parametrize("damage", [bytes(512), b"\xff" * 512, b"\n", b"000001D " * 9, bytes(60_000)], ids=range(5))
def test_bad_bytes_before_the_first_record_are_logged_and_passed(tmp_path: Path, damage: bytes) -> None:
    made = records([noise(size=9000)], 3)
    path, logged = tmp_path / "a", Logged()
    path.write_bytes(damage + b"".join(made))
    assert len(pieces(source_of(path, logged))) == len(made)
    assert logged == [f"{path}: {len(damage)} bytes at offset 0 are skipped: no miniSEED record"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_container_of_records_is_left_to_obspy(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"".join(records([noise(size=900)], 2)))
    path, logged = Path(shutil.make_archive(str(tmp_path / "a"), kind, tmp_path / "in")), Logged()
    (piece,) = pieces(source_of(path, logged))
    assert (len(piece.samples), logged) == (900, [])


def test_what_is_odd_in_a_record_is_logged_and_its_samples_are_taken(tmp_path: Path) -> None:
    record = bytearray(records([noise(size=50)], encoding="steim2")[0])
    record[64 + 11] ^= 1
    path, logged = tmp_path / "a", Logged()
    path.write_bytes(record)
    assert samples(pieces(source_of(path, logged))) == pairs([noise(size=50)])
    assert len(logged) == 1
    assert "integrity" in logged[0]


def test_a_stream_that_cannot_be_named_is_logged_and_left_out(tmp_path: Path) -> None:
    record = bytearray(records([noise(size=50)])[0])
    record[8:13] = b"demo "
    path, logged = tmp_path / "a", Logged()
    path.write_bytes(record)
    assert pieces(source_of(path, logged)) == []
    assert logged[0].startswith(f"{path}: no stream can be called 'XX.demo.00.HHZ'")
    assert logged[0].endswith("give it a name with rename; left out")


def test_a_file_that_repeats_itself_is_logged_a_few_times(tmp_path: Path) -> None:
    made = records([noise(size=200_000)])
    path, logged = tmp_path / "a", Logged()
    path.write_bytes(b"junk".join(made[:20]))
    problems = logged.problems()
    source = open_source(path, StreamNames(), problems)
    assert source is not None
    assert len(pieces(source)) == 20
    assert problems.damages == 19
    assert len(logged) == 6
    assert logged[-1] == f"{path}: more of that; only counted now"


def test_the_same_is_logged_once_however_often_a_file_is_played(tmp_path: Path) -> None:
    path, logged = tmp_path / "a", Logged()
    path.write_bytes(records([noise(size=50)])[0] + b"trailer")
    source = source_of(path, logged)
    for _ in range(3):
        pieces(source)
    assert len(logged) == 1


def test_problems_are_logged_a_bounded_number_of_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.replay.sources._MAX_LOGGED", 3)
    logged = Logged()
    problems = logged.problems()
    for number in range(10):
        problems.damage(tmp_path / str(number), "damaged")
    assert (problems.damages, len(logged)) == (10, 3)


# ---------------------------------------------------------------------- other formats


@pytest.mark.parametrize("form", ["SAC", "GSE2", "PICKLE", "TSPAIR", "SLIST"])
def test_what_obspy_reads_is_read(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a"
    one = trace()
    if form == "GSE2":
        one.data = one.data.astype("int32")
    one.write(str(path), form)
    source = source_of(path, names=StreamNames([], {"*": "XX.DEMO.00.HHZ"}))
    (piece,) = pieces(source)
    assert piece.samples.tolist() == list(range(50))
    assert (piece.start_ns, source.extent) == (START_NS, Extent(START_NS, START_NS + 490_000_000))


def test_codes_that_a_format_does_not_know_come_from_the_station(tmp_path: Path) -> None:
    trace(network="", station="").write(str(tmp_path / "a.sac"), "SAC")
    (piece,) = pieces(source_of(tmp_path / "a.sac", names=StreamNames(network="YY", station="HERE")))
    assert str(piece.stream) == "YY.HERE.00.HHZ"


def test_gaps_in_a_file_that_obspy_reads_stay(tmp_path: Path) -> None:
    late_ns = START_NS + 10 * 10**9
    obspy.Stream([trace(start_ns=late_ns), trace()]).write(str(tmp_path / "a"), "PICKLE")
    source = source_of(tmp_path / "a")
    assert [piece.start_ns for piece in pieces(source)] == [START_NS, late_ns]
    assert [piece.start_ns for piece in pieces(source, START_NS + 10**9)] == [late_ns]
    assert pieces(source, late_ns + 10**9) == []


def test_traces_that_are_not_selected_are_left_out(tmp_path: Path) -> None:
    obspy.Stream([trace(), trace(channel="HHN")]).write(str(tmp_path / "a"), "PICKLE")
    found = pieces(source_of(tmp_path / "a", names=StreamNames(["*.HHN"])))
    assert [str(piece.stream) for piece in found] == ["XX.DEMO.00.HHN"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "{path} is empty"),
        (b"not a waveform at all", "{path} is not a waveform file that ObsPy reads: Unknown format for file {path}"),
        (b"MS\x03 but no more of it", "{path} looks like miniSEED, but there is no record in it"),
        (None, "cannot read {path}: No such file or directory"),
    ],
)
def test_a_file_without_waveforms_is_skipped_with_its_reason(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path, logged = tmp_path / "day.mseed", Logged()
    if content is not None:
        path.write_bytes(content)
    problems = logged.problems()
    assert open_source(path, StreamNames(), problems) is None
    text = reason.format(path=path)
    assert (problems.files, logged) == ({path: text}, [f"{text}; skipped"])
    with pytest.raises(FileRefused):
        open_source(path, StreamNames(), logged.problems(is_strict=True))


@pytest.mark.parametrize("form", ["MSEED", "PICKLE"])
def test_a_file_that_is_gone_when_its_time_comes_is_skipped(tmp_path: Path, form: str) -> None:
    path, logged = tmp_path / "a", Logged()
    trace().write(str(path), form)
    source = source_of(path, logged)
    path.unlink()
    assert pieces(source) == []
    assert logged == [f"cannot read {path}: No such file or directory; skipped"]


def test_a_file_that_is_lost_while_it_is_played_ends(tmp_path: Path) -> None:
    class Lost(Source):
        def _parts(self, begin_ns: int) -> list[Iterator[Unloaded]]:
            return [self._one()]

        def _one(self) -> Iterator[Unloaded]:
            yield Unloaded(0, 0, lambda: None)
            raise OSError(5, "Input/output error")

    logged = Logged()
    lost = Lost(tmp_path / "a", Extent(0, 0), StreamNames(), logged.problems())
    assert len([unloaded for part in lost.open(0) for unloaded in part]) == 1
    assert logged == [f"cannot read {tmp_path / 'a'}: Input/output error; skipped"]


def test_obspy_is_loaded_only_when_a_file_needs_it(tmp_path: Path) -> None:
    write(tmp_path / "a.mseed", [noise()])
    trace().write(str(tmp_path / "b.sac"), "SAC")
    code = """
import sys
from pathlib import Path
from rawdaq.replay.names import StreamNames
from rawdaq.replay.sources import Problems, open_source
for name in sys.argv[1:]:
    source = open_source(Path(name), StreamNames(), Problems(print))
    assert sum(unloaded.load() is not None for part in source.open(0) for unloaded in part)
    print("obspy" in sys.modules)
"""
    line = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "a.mseed"), str(tmp_path / "b.sac")]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["False", "True"], done.stderr

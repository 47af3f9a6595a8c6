"""The addresses of online stores, as Feast takes them; no error shows a password in one."""

import traceback
from urllib.parse import quote

import pytest

from pipeline.features import windows
from pipeline.features.feast_client import online_store
from pipeline.features.feast_repository import store_table
from pipeline.features.online_store import open_store
from pipeline.shared.config.features import FeaturesConfig
from pipeline.shared.config.loading import load
from pipeline.shared.config.serve import ServeConfig
from pipeline.shared.files import write_parquet
from pipeline.shared.secrets import Address

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def views(published, tmp_path_factory):
    """The rows of every view of a day, where a store finds them."""
    day = [published[t].query("month == 3 and day == 8") for t in ("flights", "weather")]
    config, folder = load(FeaturesConfig), tmp_path_factory.mktemp("views")
    for view, rows in windows.views(*day, config).items():
        write_parquet(folder / f"{view}.parquet", store_table(view, rows, config))
    return folder


def test_a_path_of_sqlite_is_found_from_the_working_folder_and_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = online_store("sqlite:///state/feast/online.db", "flights")
    assert told == {"type": "sqlite", "path": str(tmp_path / "state/feast/online-flights.db")}
    assert (tmp_path / "state/feast").is_dir()


def test_an_absolute_path_of_sqlite_is_taken_as_it_is(tmp_path):
    told = online_store(f"sqlite:///{tmp_path}/a/online.db", "replay")
    assert told == {"type": "sqlite", "path": f"{tmp_path}/a/online-replay.db"}


def address(scheme, caller, rest):
    """An address with a password in it, put together only here."""
    return "://".join([scheme, f"{caller}@{rest}"])


def redis_of(url):
    """What Feast itself takes from the address of a Redis."""
    from feast.infra.online_stores.redis import RedisOnlineStore

    told = online_store(url, "flights")
    assert told["type"] == "redis"
    return RedisOnlineStore._parse_connection_string(told["connection_string"])


@pytest.mark.long
@pytest.mark.parametrize(
    ("url", "node", "number"),
    [
        ("redis://cache", {"host": "cache", "port": "6379"}, 0),
        ("redis://cache:7000", {"host": "cache", "port": "7000"}, 0),
        ("redis://cache:7000/3", {"host": "cache", "port": "7000"}, 3),
    ],
)
def test_the_address_of_a_redis_is_understood(url, node, number):
    assert redis_of(url) == ([node], {"db": number})


PASSWORDS = [
    *("hunter2", "h,u=nter2", "h@u:n/t?e#r2", "hun ter[2]", "h%41unter2", '"hunter2"', "h\\u002c2"),
    *("123456", "0123", "1e5", "true", "null"),
]


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_reaches_redis_whatever_it_is_made_of(password):
    told = redis_of(address("redis", f":{quote(password, safe='')}", "cache:7000/3"))
    assert told == ([{"host": "cache", "port": "7000"}], {"db": 3, "password": password})


def test_a_user_reaches_redis():
    _, told = redis_of(address("redis", "bob:hunter2", "cache:7000/3"))
    assert told == {"db": 3, "username": "bob", "password": "hunter2"}


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_reaches_postgresql_whatever_it_is_made_of(password):
    caller = f"bob:{quote(password, safe='')}"
    told = online_store(address("postgresql", caller, "base.example/features"), "flights")
    assert told == {
        "type": "postgres",
        "host": "base.example",
        "port": 5432,
        "database": "features",
        "user": "bob",
        "password": password,
        "sslmode": "prefer",
    }


def test_who_demands_an_encrypted_connection_gets_no_other():
    told = online_store("postgresql://base.example/features?sslmode=verify-full", "flights")
    assert (told["database"], told["sslmode"]) == ("features", "verify-full")


@pytest.mark.parametrize("password", ["h@unter2", "h:unter2", "h/unter2", "h#unter2", "h[unter2"])
@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
def test_a_password_that_nobody_quoted_is_understood_all_the_same(scheme, password):
    told = online_store(address(scheme, f"bob:{password}", "server:7000/3"), "flights")
    assert password in told.get("password", told.get("connection_string"))


@pytest.mark.parametrize("wrong", ["server:port/3", "server:70000/3", "[server/3", "127.0.0.1:1/3"])
@pytest.mark.parametrize(
    "password", ["hunter2", "x,hunter2=1", "x/hunter2", "x@hunter2", "x[hunter2"]
)
@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
def test_no_error_shows_the_password(views, monkeypatch, scheme, password, wrong):
    monkeypatch.setattr("redis.retry.sleep", lambda _: None)  # it tries for eight seconds
    serve = load(ServeConfig).model_copy(
        update={"online_url": Address(address(scheme, f"bob:{password}", wrong))}
    )
    with (
        pytest.raises(Exception, match=r".") as raised,
        open_store(load(FeaturesConfig), serve, views) as store,
    ):
        store.watermarks()
    told = "".join(traceback.format_exception(raised.value))
    assert "hunter2" not in told

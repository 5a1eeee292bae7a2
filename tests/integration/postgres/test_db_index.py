"""db-index on a real PostgreSQL: what it builds, takes for done, cleans up, and leaves alone. HAZARDS D20 and D26."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import client
from ansible_collections.irctl.runbooks.plugins.modules import pg_index
from irctl.lab.postgres import Postgres, programs
from tests.conftest import Done, Irctl, Sessions, host_of

DATABASE = "indexed"
INDEXES = "SELECT indexrelid::regclass::text || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END FROM pg_index" + (
    " WHERE indrelid::regclass::text !~ '^pg_' ORDER BY 1"
)
BUILDERS = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND state = 'active'"
END_BUILDERS = f"SELECT bool_and(pg_terminate_backend(pid, 5000)) {BUILDERS.removeprefix('SELECT count(*)')}"
PROBES = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT to_json(count(*)) FROM (SELECT FROM%'"
PARTS = """
CREATE TABLE events (at date NOT NULL, place text) PARTITION BY RANGE (at);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2026-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2030-01-01') PARTITION BY LIST (place);
CREATE TABLE events_new_a PARTITION OF events_new FOR VALUES IN ('a');
CREATE TABLE events_new_rest PARTITION OF events_new DEFAULT;
"""


class Shop:
    """A database whose tables want indexes."""

    def __init__(self, irctl: Irctl, sessions: Sessions, server: Postgres, wait_until: Callable[..., Any]) -> None:
        self.irctl, self._sessions, self._server, self._wait_until = irctl, sessions, server, wait_until

    def words(self, table: str = "orders", column: str = "customer") -> list[str]:
        return ["db-index", "--host", "lab", "--json", "--database", DATABASE, "--table", table, "--column", column]

    def index(self, *words: str, table: str = "orders", column: str = "customer") -> Done:
        return self.irctl("remediate", *self.words(table, column), *words)

    def module(self, state: str, **more: Any) -> dict[str, Any]:
        """What the module does and says by itself, in this process."""
        params = {name: option.get("default") for name, option in pg_index.ARGUMENTS.items()} | host_of(self._server)
        asked = {"database": DATABASE, "table": "orders", "column": ["customer"], "state": state}
        return pg_index.run({**params, **asked, **more}, False)

    def built(self, **more: Any) -> dict[str, Any]:
        """Build the index; return what a revert is given."""
        record: dict[str, Any] = json.loads(self.module("captured", **more)["evidence"]["revert.json"])
        self.module("changed", **more)
        return record

    def take_away(self, record: dict[str, Any], force: bool = False) -> str:
        """What a revert says, or why it is refused."""
        try:
            changed = self.module("changed", record=record, force=force)
        except client.Failure as error:
            return str(error)
        return f"{changed['msg']}, {self.module('proved', record=record, force=force)['msg']}"

    def session(self, *statements: str) -> psycopg.Connection:
        return self._sessions.open(1, *statements, database=DATABASE, application="shop")[0]

    def indexes(self) -> list[str]:
        return [row[0] for row in self.session().execute(INDEXES.encode()).fetchall()]

    def leave_invalid(self, statement: str, table: str = "orders") -> None:
        """Let a build give up while somebody writes to the table."""
        writer = self.session("BEGIN", f"INSERT INTO {table} DEFAULT VALUES")
        with suppress(psycopg.errors.LockNotAvailable):
            self.session("SET lock_timeout = 300").execute(statement.encode())
        writer.close()

    def building(self, statement: str, table: str) -> psycopg.Connection:
        """Have somebody build an index for as long as the returned transaction lasts."""
        before = self._sessions.ask(BUILDERS)
        writer, builder = self.session("BEGIN", f"INSERT INTO {table} DEFAULT VALUES"), self.session()

        def build() -> None:
            with suppress(psycopg.Error):
                builder.execute(statement.encode())

        threading.Thread(target=build, daemon=True).start()
        self._wait_until(lambda: self._sessions.ask(BUILDERS) > before)
        return writer


@pytest.fixture
def shop(irctl: Irctl, sessions: Sessions, server: Postgres, wait_until: Callable[..., Any]) -> Iterator[Shop]:
    sessions.ask(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    sessions.ask(f"CREATE DATABASE {DATABASE} OWNER ops")
    shop = Shop(irctl, sessions, server, wait_until)
    shop.session(
        "CREATE TABLE orders (customer int DEFAULT 1, note text)",
        "CREATE TABLE parcels (customer int DEFAULT 1)",
        "INSERT INTO orders SELECT n % 100, 'note' FROM generate_series(1, 5000) n",
    )
    yield shop
    sessions.ask(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


def test_it_is_built_once_and_dropped_by_its_revert(shop: Shop) -> None:
    looked = shop.index("--check")
    assert (looked.json["outcome"], shop.indexes()) == ("changed", [])
    assert looked.host()["affected"]["items"] == [{"index": "orders_customer_idx", "table": "public.orders", "does": "build"}]
    done = shop.index()
    assert (done.json["outcome"], shop.indexes()) == ("changed", ["orders_customer_idx"]), done.out
    again = shop.index()
    assert (again.json["outcome"], again.host()["after"]["valid"]) == ("unchanged", True)
    assert shop.irctl("revert", again.json["run"], "--json").json["outcome"] == "unchanged", "it was there before that run"
    assert shop.indexes() == ["orders_customer_idx"]
    assert shop.irctl("revert", done.json["run"], "--json").json["outcome"] == "changed"
    assert shop.indexes() == []
    assert shop.irctl("revert", done.json["run"], "--json").json["outcome"] == "unchanged"


def test_an_invalid_index_of_the_name_is_no_index_and_is_replaced(shop: Shop) -> None:
    shop.leave_invalid("CREATE INDEX CONCURRENTLY orders_customer_idx ON orders (customer)")
    assert shop.indexes() == ["orders_customer_idx INVALID"]
    assert [row["does"] for row in shop.index("--check").host()["affected"]["items"]] == ["drop", "build"]
    assert shop.index().host()["reason"].startswith("1 index dropped, 1 index built in ")
    assert shop.indexes() == ["orders_customer_idx"]


def test_what_a_reindex_has_left_is_dropped_and_the_valid_index_stays(shop: Shop) -> None:
    shop.index()
    shop.leave_invalid("REINDEX INDEX CONCURRENTLY orders_customer_idx")
    assert shop.indexes() == ["orders_customer_idx", "orders_customer_idx_ccnew INVALID"]
    assert shop.index().host()["reason"].startswith("1 index dropped in ")
    assert shop.indexes() == ["orders_customer_idx"]


def test_what_others_have_left_or_are_building_elsewhere_is_spared(shop: Shop) -> None:
    shop.leave_invalid("CREATE INDEX CONCURRENTLY orders_note_idx ON orders (note)")
    writer = shop.building("CREATE INDEX CONCURRENTLY orders_customer_idx_ccnew ON parcels (customer)", "parcels")
    assert shop.index().json["outcome"] == "changed"
    assert shop.indexes() == ["orders_customer_idx", "orders_customer_idx_ccnew INVALID", "orders_note_idx INVALID"]
    writer.execute("COMMIT")
    shop._wait_until(lambda: shop.indexes() == ["orders_customer_idx", "orders_customer_idx_ccnew", "orders_note_idx INVALID"])


def test_a_table_whose_index_somebody_is_building_is_refused(shop: Shop) -> None:
    writer = shop.building("CREATE INDEX CONCURRENTLY orders_customer_idx ON orders (customer)", "orders")
    refused = shop.index()
    assert (refused.code, refused.json["outcome"]) == (5, "refused")
    assert "Somebody builds an index of this table, or maintains it, just now: pid " in refused.host()["reason"]
    writer.execute("ROLLBACK")
    shop._wait_until(lambda: shop.indexes() == ["orders_customer_idx"])
    assert shop.index().json["outcome"] == "unchanged"


def test_one_that_waits_in_vain_leaves_nothing_behind(shop: Shop) -> None:
    shop.session("BEGIN", "INSERT INTO orders DEFAULT VALUES")
    done = shop.index("--wait", "1s")
    assert (done.code, done.json["outcome"]) == (1, "failed")
    assert "canceling statement due to lock timeout. What it left " in done.host()["reason"]


def test_it_says_what_a_client_felt(shop: Shop, sessions: Sessions, wait_until: Callable[..., Any]) -> None:
    writer = shop.session("BEGIN", "INSERT INTO orders DEFAULT VALUES")
    process = shop.irctl.start("remediate", *shop.words())
    wait_until(lambda: sessions.ask(BUILDERS) == 1)
    wait_until(lambda: sessions.ask(PROBES) > 0)
    writer.execute("COMMIT")
    out, err = process.communicate(timeout=60)
    assert re.search(r" built in [0-9.]+ s, a client's p99 [0-9.]+ ms, before [0-9.]+ ms, ", out), err


def test_killed_while_it_builds_its_backend_ends_and_the_next_run_mends_what_is_left(
    shop: Shop, sessions: Sessions, wait_until: Callable[..., Any]
) -> None:
    writer = shop.session("BEGIN", "INSERT INTO orders DEFAULT VALUES")
    process = shop.irctl.start("remediate", *shop.words(), "--wait", "5m")
    wait_until(lambda: sessions.ask(BUILDERS) == 1)
    process.kill()
    process.wait()
    wait_until(lambda: sessions.ask(BUILDERS) == 0, 30)
    assert shop.indexes() == ["orders_customer_idx INVALID"]
    writer.execute("COMMIT")
    assert shop.index().json["outcome"] == "changed"
    assert shop.indexes() == ["orders_customer_idx"]


def test_of_a_partitioned_table_every_partition_gets_one_and_the_whole_is_valid(shop: Shop) -> None:
    shop.session(PARTS)
    assert [row["does"] for row in shop.index("--check", table="events", column="place").host()["affected"]["items"]] == [
        "parent", "build", "parent", "build", "build", "attach", "attach", "attach", "attach",
    ]  # fmt: skip
    done = shop.index(table="events", column="place")
    assert done.json["outcome"] == "changed", done.out
    assert done.host()["after"]["partitions"] == 3
    made = shop.indexes()
    assert len(made) == 5
    assert not [name for name in made if "INVALID" in name]
    shop.session("CREATE TABLE events_new_b PARTITION OF events_new FOR VALUES IN ('b')")
    assert shop.index(table="events", column="place").json["outcome"] == "unchanged", "PostgreSQL makes that of a new partition"
    assert shop.irctl("revert", done.json["run"], "--json").json["outcome"] == "changed"
    assert shop.indexes() == []


def test_a_partitioned_build_that_was_cut_short_is_completed(shop: Shop) -> None:
    shop.session(PARTS)
    writer = shop.session("BEGIN", "INSERT INTO events VALUES ('2027-01-01', 'x')")
    failed = shop.index("--wait", "1s", table="events", column="place")
    assert failed.json["outcome"] == "failed"
    writer.execute("COMMIT")
    assert shop.index(table="events", column="place").json["outcome"] == "changed"
    assert not [name for name in shop.indexes() if "INVALID" in name]
    assert shop.index(table="events", column="place").json["outcome"] == "unchanged"


@pytest.mark.parametrize(
    ("before", "words", "reason"),
    [
        ("CREATE INDEX mine ON orders (customer, note)", (), "There is such an index already: CREATE INDEX mine ON public.orders"),
        ("CREATE INDEX orders_customer_idx ON orders (note)", (), "orders_customer_idx is another index: CREATE INDEX"),
        ("CREATE UNIQUE INDEX orders_customer_idx ON parcels (customer)", (), "something else that is called orders_customer_idx"),
        ("SELECT 1", ("--column", "price"), "public.orders has no column price. It has: customer, note."),
        ("SELECT 1", ("--schema", "sales"), "There is no table sales.orders in the database indexed."),
        ("SELECT 1", ("--database", "Indexed"), "There is no database 'Indexed'. There are: indexed"),
        ("CREATE VIEW v AS SELECT 1 AS customer", ("--table", "v"), "No index can be built beside the work on v"),
    ],
)
def test_what_speaks_against_it_is_a_sentence_and_nothing_is_touched(
    before: str, words: tuple[str, ...], reason: str, shop: Shop
) -> None:
    shop.session(before)
    there = shop.indexes()
    done = shop.index(*words)
    assert (done.code, reason in done.host()["reason"]) == (5, True), done.host()["reason"]
    assert shop.indexes() == there


def test_a_table_of_somebody_else_is_refused(shop: Shop, server: Postgres) -> None:
    with psycopg.connect(server.address("postgres", DATABASE), autocommit=True) as owner:
        owner.execute("CREATE TABLE theirs (customer int)")
    refused = shop.index(table="theirs")
    assert "The role ops has to own public.theirs, and to have CREATE on its schema." in refused.host()["reason"]


def test_names_are_names_whatever_stands_in_them(shop: Shop) -> None:
    table, column = 'a"b; DROP TABLE orders', "größe'$1%I"
    quoted = table.replace('"', '""')
    shop.session(f'CREATE TABLE "{quoted}" ("{column}" int)')
    done = shop.index(table=table, column=column)
    assert done.json["outcome"] == "changed", done.out
    assert shop.index(table=table, column=column).json["outcome"] == "unchanged"
    assert shop.irctl("revert", done.json["run"], "--json").json["outcome"] == "changed"
    assert shop.session().execute("SELECT count(*) FROM orders").fetchone() == (5000,)


def test_behind_a_lost_synchronous_standby_it_comes_to_its_end(shop: Shop, sessions: Sessions) -> None:
    """D20: each of its commits would wait for ever."""
    sessions.ask("ALTER SYSTEM SET synchronous_standby_names = 'lost'")
    sessions.ask("SELECT pg_reload_conf()")
    try:
        assert shop.index().json["outcome"] == "changed"
    finally:
        sessions.ask("ALTER SYSTEM RESET synchronous_standby_names")
        sessions.ask("SELECT pg_reload_conf()")
    assert shop.indexes() == ["orders_customer_idx"]


def test_an_index_that_somebody_else_made_since_is_not_dropped_without_force(shop: Shop) -> None:
    done = shop.index()
    shop.session("DROP INDEX orders_customer_idx", "CREATE INDEX orders_customer_idx ON orders (note)")
    refused = shop.irctl("revert", done.json["run"], "--json")
    assert "Somebody else has made another index of this name since" in refused.host()["reason"]
    forced = shop.irctl("revert", done.json["run"], "--json", "--force")
    assert (forced.json["outcome"], shop.indexes()) == ("changed", [])
    shop.session("DROP TABLE orders", "CREATE TABLE orders (customer int)", "CREATE INDEX orders_customer_idx ON orders (customer)")
    assert "This is not the table that it was" in shop.irctl("revert", done.json["run"], "--json").host()["reason"]
    assert shop.indexes() == ["orders_customer_idx"]


def test_it_works_over_psql_too(shop: Shop, server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "psycopg", None)
    monkeypatch.setenv("PATH", f"{programs()}:/usr/bin:/bin")
    params = {name: about.get("default") for name, about in pg_index.ARGUMENTS.items()} | host_of(server)
    params |= {"database": DATABASE, "table": "orders", "column": ["customer"]}
    shop.leave_invalid("CREATE INDEX CONCURRENTLY orders_customer_idx ON orders (customer)")
    assert pg_index.run({**params, "state": "changed"}, False)["changed"] is True
    assert pg_index.run({**params, "state": "proved"}, False)["summary"]["valid"] is True
    writer = shop.session("BEGIN", "INSERT INTO parcels DEFAULT VALUES")
    with pytest.raises(client.Failure, match="lock timeout"):
        pg_index.run({**params, "table": "parcels", "state": "changed", "wait": "1s"}, False)
    writer.close()


def test_a_revert_knows_the_table_whatever_it_is_called_since(shop: Shop) -> None:
    record = shop.built()
    shop.session("CREATE SCHEMA archive", "ALTER TABLE orders RENAME TO orders_2026", "ALTER TABLE orders_2026 SET SCHEMA archive")
    assert (shop.take_away(record), shop.indexes()) == ("1 index dropped, as that run found it", [])


def test_a_revert_does_not_say_that_an_index_is_gone_which_only_has_another_name(shop: Shop) -> None:
    record = shop.built()
    shop.session("ALTER INDEX orders_customer_idx RENAME TO mine")
    assert shop.take_away(record).startswith("There is no orders_customer_idx, and mine is such an index, made since.")
    assert (shop.take_away(record, force=True), shop.indexes()) == ("not there any more, as that run found it", ["mine"])


def test_a_revert_drops_that_of_a_partition_which_was_detached_since(shop: Shop) -> None:
    shop.session(PARTS)
    record = shop.built(table="events", column=["place"])
    shop.session("ALTER TABLE events DETACH PARTITION events_old")
    assert (shop.take_away(record), shop.indexes()) == ("2 indexes dropped, as that run found it", [])


def test_a_revert_takes_no_index_of_a_partition_with_it_that_was_there_before(shop: Shop) -> None:
    shop.session(PARTS, "CREATE INDEX events_place_idx ON ONLY events (place)", "CREATE INDEX mine ON events_old (place)")
    shop.session("ALTER INDEX events_place_idx ATTACH PARTITION mine")
    record = shop.built(table="events", column=["place"])
    assert shop.take_away(record).startswith("With it goes what was there before that run and is attached to it: mine.")
    assert "mine" in shop.indexes()
    assert (shop.take_away(record, force=True), shop.indexes()) == ("1 index dropped, as that run found it", [])


def test_another_table_that_has_the_name_by_now_is_not_touched(shop: Shop) -> None:
    looked = shop.module("listed")["found"]
    shop.session("ALTER TABLE orders RENAME TO orders_old", "CREATE TABLE orders (customer int)")
    with pytest.raises(client.Failure, match="Another table has this name by now"):
        shop.module("changed", found=looked)
    assert shop.indexes() == []


def test_a_partition_of_somebody_else_is_found_before_anything_is_built(shop: Shop, sessions: Sessions, server: Postgres) -> None:
    shop.session(PARTS)
    with psycopg.connect(server.address("postgres", DATABASE), autocommit=True) as owner:
        owner.execute("ALTER TABLE events_new_a OWNER TO postgres")
    [refused] = shop.module("listed", table="events", column=["place"])["refusals"]
    assert refused == "The role ops has to own public.events_new_a, and to have CREATE on its schema."


def test_an_index_that_answers_other_questions_is_none_that_does_the_same(shop: Shop) -> None:
    shop.session(
        "CREATE INDEX a ON orders (note text_pattern_ops)",
        'CREATE INDEX b ON orders (note COLLATE "POSIX")',
        "CREATE INDEX c ON orders (note, customer DESC)",
    )
    assert shop.module("listed", column=["note", "customer"])["refusals"] == []
    shop.session("DROP INDEX c")
    assert shop.module("listed", column=["note"])["refusals"] == []
    shop.session("CREATE INDEX d ON orders (note DESC, customer DESC)")
    assert len(shop.module("listed", column=["note"])["refusals"]) == 1


def test_what_a_reindex_has_left_is_known_where_its_name_was_cut(shop: Shop) -> None:
    name = "n" * 61
    shop.built(name=name)
    shop.leave_invalid(f"REINDEX INDEX CONCURRENTLY {name}")
    assert len(shop.indexes()) == 2
    assert shop.module("changed", name=name)["msg"].startswith("1 index dropped")
    assert shop.indexes() == [name]


def test_a_build_whose_session_is_ended_is_cleaned_up_in_another(
    shop: Shop, sessions: Sessions, wait_until: Callable[..., Any]
) -> None:
    writer = shop.session("BEGIN", "INSERT INTO orders DEFAULT VALUES")

    def end() -> None:
        wait_until(lambda: sessions.ask(BUILDERS) == 1)
        writer.execute("ROLLBACK") if sessions.ask(END_BUILDERS) else None

    ending = threading.Thread(target=end)
    ending.start()
    with pytest.raises(client.Failure, match="What it left was dropped"):
        shop.module("changed")
    ending.join()
    assert shop.indexes() == []


def test_what_another_builds_under_the_name_meanwhile_is_left_alone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(pg_index.Probe):
        def __enter__(self) -> pg_index.Probe:
            writers.append(shop.building("CREATE INDEX CONCURRENTLY orders_customer_idx ON orders (customer)", "orders"))
            return super().__enter__()

    writers: list[psycopg.Connection] = []
    monkeypatch.setattr(pg_index, "Probe", Late)
    with pytest.raises(client.Failure, match=r"lock timeout\. What there is of it was left alone\. Somebody builds an index"):
        shop.module("changed", wait="1s")
    writers[0].execute("ROLLBACK")
    shop._wait_until(lambda: shop.indexes() == ["orders_customer_idx"])

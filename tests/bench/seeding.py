"""Rows of the real schema, by the thousand and by the million: valid tokens, each with its own job, ten jobs a pipeline.

Every row is a copy of one that the server itself has written, but for what must differ, so that this follows the schema by itself."""

import contextlib
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from machine import ALL, pinned
from processes import Failed, must

# So many jobs has a pipeline.
_JOBS = 10
# Over so many hours the tokens were issued, and so long all of them live yet.
_HOURS = 20
_LIVE_HOURS = 12
# From so many rows on, indexes are dropped before and made after.
_MANY = 50_000
_PATIENCE = 1500


class Seeding:
    def __init__(self, database, tool, folder):
        self._database = database
        self._tool = tool
        self._folder = folder

    def live(self, name, count, asked):
        """`count` live tokens; answers the file with the texts of `asked` of them, spread over all and in no order, and their hours."""
        hour = int(time.time() // 3600)
        texts = self._keys(name, count, until_hour=hour, hours=_HOURS, asked=asked)
        run = {"id": _pipeline_id(), "key": _pipeline_key(), "created_at": _at("run_hour")}
        self._insert(name, "pipelines", f"where n % {_JOBS} = 0", run)
        # Neither of the two waits for the other.
        with ThreadPoolExecutor() as threads:
            for made in [threads.submit(self._jobs, name, count), threads.submit(self._tokens, name, count, _ends())]:
                made.result()
        self._settle(name)
        return texts, (hour - _HOURS + 1, _HOURS)

    def texts_only(self, name, count):
        """Tokens that are stored nowhere."""
        texts = self._folder / f"{name}-tokens"
        must(self._made(name, count, int(time.time() // 3600), 1, count, texts), timeout=60)
        return texts

    def expired(self, name, count, days_ago):
        """`count` tokens that expired days ago, spread over ten days; their jobs and pipelines are long gone."""
        hour = int(time.time() // 3600) - days_ago * 24
        self._keys(name, count, until_hour=hour, hours=240, asked=0)
        self._tokens(name, count, f"{_at('hour')} + interval '1 hour'")
        self._settle(name)

    def _keys(self, name, count, *, until_hour, hours, asked):
        """The numbers, hours and hashes in a table, with the hour of each pipeline's first job, and the partitions for them."""
        texts = self._folder / f"{name}-{until_hour}-tokens"
        run_hour = f"({until_hour - hours + 1} + (n - n % {_JOBS}) * {hours} / {count})::int"
        self._database.sql(
            name,
            "create unlogged table bench_keys (n bigint not null, hour int not null, token_hash bytea not null,"
            f" run_hour int not null generated always as ({run_hour}) stored)",
        )
        copy = [self._database.bindir / "psql", "-qX", "-d", self._database.url(name), "-c", "copy bench_keys (n, hour, token_hash) from stdin"]
        with subprocess.Popen(self._made(name, count, until_hour, hours, asked, texts), stdout=subprocess.PIPE) as tokens:
            done = subprocess.run([str(word) for word in copy], stdin=tokens.stdout, timeout=_PATIENCE, capture_output=True, text=True)
        if tokens.returncode != 0 or done.returncode != 0:
            raise Failed(f"the tokens were not written: {done.stderr.strip()[-500:]}")
        self._database.sql(name, "select ensure_partitions(to_timestamp(hour * 3600::bigint)) from (select distinct hour from bench_keys) as hours")
        _shuffle(texts)
        return texts

    def _made(self, name, count, until_hour, hours, asked, texts):
        wanted = ["--count", count, "--seed", f"{name}-{until_hour}", "--until-hour", until_hour, "--hours", hours]
        return pinned(ALL, [str(word) for word in [self._tool, "tokens", *wanted, "--asked", asked, "--texts", texts]])

    def _jobs(self, name, count):
        with self._without_indexes(name, "jobs", count):
            self._insert(name, "jobs", "", {
                "id": _job_id(), "pipeline_id": _pipeline_id(), "key": "'p' || n", "opened_at": _at("hour"), "deadline_at": _ends(),
            })  # fmt: skip

    def _tokens(self, name, count, expires_at):
        with self._without_indexes(name, "job_tokens", count):
            self._insert(name, "job_tokens", "", {
                "issued_hour": "hour", "id": token_id("n", "hour"), "root_id": token_id("n", "hour"), "hash": "token_hash",
                "job_id": _job_id(), "pipeline_id": _pipeline_id(), "job_key": "'p' || n", "pipeline_key": _pipeline_key(),
                "issued_at": _at("hour"), "expires_at": expires_at,
            })  # fmt: skip
        # As a mint does first: by what is recorded of a day its partition goes.
        self._database.sql(
            name,
            f"insert into token_days (day, latest_expiry) select hour / 24, max({expires_at}) + interval '1 hour' from bench_keys group by 1"
            " on conflict (day) do update set latest_expiry = greatest(token_days.latest_expiry, excluded.latest_expiry)",
            timeout=_PATIENCE,
        )

    @contextlib.contextmanager
    def _without_indexes(self, name, table, count):
        """Made after the rows, all at once: that takes a fraction of the time."""
        if count >= _MANY:
            self._database.sql(name, _set_aside(table))
        yield
        if count >= _MANY:
            self._database.sql(name, _put_back(table), timeout=_PATIENCE)

    def _insert(self, name, table, where, changed):
        columns = self._database.sql(
            name,
            f"select attname from pg_attribute where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped and attgenerated = ''",
        ).splitlines()
        missing = set(changed) - set(columns)
        if missing:
            raise Failed(f"{table} has no {', '.join(sorted(missing))}: the schema is another one now")
        values = [changed.get(column, f't."{column}"') for column in columns]
        # Foreign keys hold by the way that the rows are made; looking would take longer than the rest.
        text = f"""
            set session_replication_role = replica;
            create temp table t as select * from {table} where {"id = root_id" if table == "job_tokens" else "true"} order by id desc limit 1;
            insert into {table} ({", ".join(f'"{column}"' for column in columns)})
            select {", ".join(values)} from bench_keys, t {where};"""
        self._database.sql(name, text, timeout=_PATIENCE)

    def _settle(self, name):
        """As after a quiet night: nothing is left for a vacuum that would come while something is measured."""
        self._database.sql(name, "drop table bench_keys")
        self._database.sql(name, "vacuum (freeze, analyze)", timeout=_PATIENCE)


def _id(kind, number, hour):
    """A UUID of version 7, of its hour: by it a sweep knows how old a pipeline is."""
    return f"(lpad(to_hex(({hour})::bigint * 3600000), 12, '0') || '7{kind:03}8' || lpad(to_hex(({number})::bigint), 15, '0'))::uuid"


def token_id(number, hour):
    """floors.py finds a token by the same rule."""
    return _id(1, number, hour)


def _job_id():
    return _id(2, "n", "hour")


def _pipeline_id():
    return _id(3, f"n / {_JOBS}", "run_hour")


def _pipeline_key():
    return f"'p' || n / {_JOBS}"


def _at(hour):
    return f"to_timestamp({hour} * 3600::bigint)"


def _ends():
    return f"date_trunc('hour', now()) + interval '{_LIVE_HOURS} hours'"


def _set_aside(table):
    """Drops a table's indexes, keeping how they are made."""
    return f"""
        create table bench_indexes_{table} as
        select conname as name, 0 as rank, format('alter table {table} add constraint %I %s', conname, pg_get_constraintdef(oid)) as made
        from pg_constraint where conrelid = '{table}'::regclass and contype in ('p', 'u')
        union all
        select indexrelid::regclass::text, 1, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')
        from pg_index where indrelid = '{table}'::regclass and not exists (select from pg_constraint where conindid = indexrelid);
        do $$ declare i record; begin
            for i in select * from bench_indexes_{table} loop
                if i.rank = 0 then execute format('alter table {table} drop constraint %I', i.name);
                else execute 'drop index ' || i.name; end if;
            end loop;
        end $$;"""


def _put_back(table):
    return f"""
        do $$ declare i record; begin
            for i in select * from bench_indexes_{table} order by rank loop execute i.made; end loop;
        end $$;
        drop table bench_indexes_{table};"""


def _shuffle(path):
    """So that neighbours in time are not asked about together."""
    lines = path.read_text().splitlines()
    random.Random(0).shuffle(lines)
    path.write_text("".join(line + "\n" for line in lines))

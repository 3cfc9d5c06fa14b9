"""Ten million expired tokens removed by a server's own sweep, while another one is asked about live tokens."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from figure import Figure, at_most, figures
from load import Stream
from processes import Failed, must

# Of tokens that were not seen before, so that every one is looked up where the sweep works.
_RATE = 500
_WINDOW = 8.0
_LIVE = 50_000


@figures(expire_10m=at_most(5, 1), expire_10m_p99=at_most(1.5, 1.1, of="times"))
def expiry(bench):
    whole = bench.seed_expired("expired", min(_LIVE, bench.scale.cold), bench.scale.expired)
    quiet, meanwhile = [], []

    def one_round():
        bench.database.drop("expiring")
        bench.database.copy("expired", "expiring")
        seconds, before, during = _sweep(bench, whole)
        quiet.append(before)
        meanwhile.append(during)
        return seconds

    try:
        seconds = bench.rounds({"seconds": one_round})["seconds"]
    finally:
        bench.database.drop("expiring")
        bench.database.drop("expired")
    before, during = (sorted(seen)[len(seen) // 2] for seen in (quiet, meanwhile))
    return {
        "expire_10m": Figure(seconds, "s", more={"tokens": bench.scale.expired}),
        "expire_10m_p99": Figure(during, "ms", before, before / during, {"times": during / before}),
    }


def _sweep(bench, whole):
    """How long the sweep took, and the 99th percentiles of introspection before and meanwhile."""
    sql = lambda text: bench.database.sql("expiring", text, timeout=180)  # noqa: E731
    expired = _expired(sql)
    # Out of sight of the first server, whose start would sweep as well.
    for partition in expired:
        sql(partition.set_aside())
    _warm(bench, sql)
    with bench.serve("expiring") as server, ThreadPoolExecutor() as threads:
        asked = bench.introspection(server.port)
        quiet = bench.load.paced(_WINDOW, {"all": Stream(asked, whole.texts, _RATE)})["all"]["p99_ms"]
        for partition in expired:
            sql(partition.put_back())
        samples = bench.folder / "sweep-samples"
        stream = {"all": Stream(asked, whole.texts, _RATE, skip=int(_RATE * _WINDOW))}
        began = time.monotonic()
        loaded = threads.submit(bench.load.paced, _WINDOW, stream, samples)
        time.sleep(1)
        started = time.monotonic()
        # The sweep is the first thing that a server does.
        with bench.serve("expiring"):
            _wait_for_the_end(sql, expired)
            ended = time.monotonic()
            loaded.result()
    return ended - started, quiet, p99_between(samples.read_text(), started - began, ended - began)


def _warm(bench, sql):
    """The copy is on the disk, and the live tokens are in memory: else what is called quiet waits for both."""
    bench.database.durable(True)
    must(["sync"], timeout=300)
    table = "coalesce((select indrelid from pg_index where indexrelid = oid), oid)::regclass::text"
    sql(f"""create extension if not exists pg_prewarm;
        select sum(pg_prewarm(oid)) from pg_class where relkind in ('r', 'i') and {table} not like 'bench_aside_%'""")


@dataclass(frozen=True)
class _Partition:
    """One that holds expired tokens and no others."""

    name: str
    bounds: str
    """The same as a condition."""
    within: str

    def set_aside(self):
        """Under a name that no sweep knows. What it promises of its rows spares looking at them all when it is put back."""
        return f"""alter table job_tokens detach partition {self.name};
            alter table {self.name} add constraint bench_within check ({self.within});
            alter table {self.name} rename to {self._aside}"""

    def put_back(self):
        return f"""alter table {self._aside} rename to {self.name};
            alter table job_tokens attach partition {self.name} {self.bounds};
            alter table {self.name} drop constraint bench_within"""

    @property
    def _aside(self):
        return f"bench_aside_{self.name}"


def _expired(sql):
    known = sql("""select inhrelid::regclass, pg_get_expr(relpartbound, inhrelid), pg_get_partition_constraintdef(inhrelid)
        from pg_inherits join pg_class on pg_class.oid = inhrelid where inhparent = 'job_tokens'::regclass""")
    dead = "select exists (select from {0}) and not exists (select from {0} where expires_at > now())"
    partitions = [_Partition(*row.split("|")) for row in known.splitlines()]
    return [partition for partition in partitions if sql(dead.format(partition.name)) == "t"]


def _wait_for_the_end(sql, expired):
    """In one session: connections of its own for every look would disturb what is measured meanwhile."""
    names = ", ".join(f"'{partition.name}'" for partition in expired)
    sql(f"""do $$ begin
        for look in 1..6000 loop
            perform from pg_class where relname in ({names});
            if not found then return; end if;
            perform pg_sleep(0.02);
        end loop;
        raise 'after two minutes partitions with expired tokens are still there';
    end $$""")


def p99_between(samples, start, end):
    """Of those that were due while it lasted, in milliseconds; a sweep that is over at once is seen by what came right after it."""
    rows = [tuple(map(float, line.split())) for line in samples.splitlines()]
    took = sorted(took for due, took in rows if start <= due <= max(end, start + 1))
    if not took:
        raise Failed("nothing was asked while it was swept")
    return 1e3 * took[max(0, -(-len(took) * 99 // 100) - 1)]

"""What the same machine does with the least that could do the work: axum with a fixed answer, PostgreSQL with one statement."""

from machine import SERVER, pinned
from processes import Daemon, free_port
from seeding import token_id

_INSERT = """insert into bench_floor (body) values (repeat('x', 200));
"""


class FixedAnswer:
    """An axum handler that reads the same POST and answers the same number of bytes."""

    def __init__(self, tool, folder, body):
        file = folder / "floor-body"
        file.write_bytes(body)
        self.port = free_port()
        command = [str(tool), "floor", "--listen", f"127.0.0.1:{self.port}", "--body", str(file)]
        self.daemon = Daemon(pinned(SERVER, command), log=folder / "floor.log")
        self.daemon.wait_for_port(self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.stop()


def point_select(first_hour, hours, count):
    """Any of the `count` tokens that seeding made, by its key."""
    return "\n".join([
        f"\\set n random(0, {count - 1})",
        f"\\set hour {first_hour} + :n * {hours} / {count}",
        f"select * from job_tokens where issued_hour = :hour and id = {token_id(':n', ':hour')};",
        "",
    ])  # fmt: skip


def single_insert():
    return _INSERT


def make_insert_table(database, name):
    database.sql(name, "create table bench_floor (id bigint generated always as identity primary key, body text not null)")

-- What was changed, in the order of commits: each replica reads it to drop what it holds in memory.
create table changes (
    number bigint primary key,
    -- Tells this row from another of the same number, as a database that was restored or promoted may bring one.
    mark uuid not null,
    kind text not null,
    subject uuid,
    at timestamptz not null
);
create index changes_at_idx on changes (at);

-- There is always a last row, so that a reader always has a place to go on from.
insert into changes (number, mark, kind, at) values (0, gen_random_uuid(), 'everything', 'epoch');

-- The last statement of a transaction: the lock is held to its commit, so that the order of numbers is the order of commits and a
-- number that was rolled back is given again. A reader that sees a gap has missed something. The notification is a hint and no more.
create function log_changes(kinds text[], subjects uuid[], moment timestamptz) returns bigint language plpgsql as $$
declare
    latest bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('jobpass.changes', 0));
    select max(number) into strict latest from changes;
    insert into changes (number, mark, kind, subject, at)
    select latest + position, gen_random_uuid(), kind, subject, moment
    from unnest(kinds, subjects) with ordinality as change (kind, subject, position);
    perform pg_notify('jobpass_changes', '');
    return latest + cardinality(kinds);
end $$;

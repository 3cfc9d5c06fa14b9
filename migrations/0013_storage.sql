-- Until when a token of a day's partition can be live, rounded up to the hour: written before the first such token is, so that a
-- partition goes without a look into it. A day without a row is kept for as long as a job can take.
create table token_days (
    day integer primary key,
    latest_expiry timestamptz not null
);

-- Dropping happens outside of functions from here on: a detach that waits for nobody's reads cannot run in one.
drop function drop_expired_partitions(timestamptz);
drop function drop_old_usage(date, date);

-- Makes a partition that is not there yet: beside its table first, then attached, so that nobody who reads or writes waits for it.
create function make_partition(parent text, name text, low text, high text) returns void language plpgsql as $$
begin
    if to_regclass(name) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('jobpass.partitions', 0));
    -- After the wait, what to_regclass says may be old.
    if exists (select from pg_class where relname = name and relnamespace = current_schema()::regnamespace) then
        return;
    end if;
    execute format('create table %I (like %I including defaults including constraints)', name, parent);
    execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, name, low, high);
end $$;

-- As before: the day of job tokens and the months of audit events and usage that hold this time.
create or replace function ensure_partitions(moment timestamptz) returns void language plpgsql as $$
declare
    day integer := floor(extract(epoch from moment) / 86400);
    month timestamptz := date_trunc('month', moment, 'UTC');
    first_day date := (month at time zone 'UTC')::date;
    suffix text := to_char(month at time zone 'UTC', 'YYYYMM');
begin
    perform make_partition('job_tokens', 'job_tokens_' || day, (day * 24)::text, ((day + 1) * 24)::text);
    perform make_partition('audit_events', 'audit_events_' || suffix, month::text, (month + interval '1 month')::text);
    perform make_partition('usage', 'usage_' || suffix, first_day::text, (first_day + interval '1 month')::date::text);
end $$;

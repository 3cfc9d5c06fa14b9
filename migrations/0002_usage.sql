-- Usage: which source did what on which target, counted by the day; and when a grant was last needed.

create table usage (
    day date not null,
    -- A hash of all that is counted as one, so that it can be a key: null is a value here.
    key uuid not null,
    target_id uuid not null,
    source_id uuid not null,
    -- Null: unnamed use, by the scope that was shown to this service.
    permission text,
    service_id uuid,
    allowed boolean not null,
    reason text,
    would_deny boolean not null,
    ref text not null,
    ref_type text not null check (ref_type in ('branch', 'tag', 'merge_request')),
    protected boolean not null,
    environment text,
    trigger text not null check (trigger in ('push', 'schedule', 'merge_request', 'manual', 'api', 'pipeline')),
    from_fork boolean not null,
    minted_by text not null check (minted_by in ('project', 'group', 'instance')),
    actor_role smallint check (actor_role between 0 and 4),
    resource_name text,
    count bigint not null check (count > 0),
    first_at timestamptz not null,
    last_at timestamptz not null,
    last_job_id uuid not null,
    constraint usage_pkey primary key (day, key),
    constraint usage_what check (num_nonnulls(permission, service_id) = 1)
) partition by range (day);
create index usage_target_idx on usage (target_id, source_id, permission);
create index usage_source_idx on usage (source_id);
comment on column usage.actor_role is '0 guest, 1 reporter, 2 developer, 3 maintainer, 4 owner';

-- The values that are told apart, of which there is a bound; what comes after is `*other*`.
create table usage_values (
    target_id uuid not null,
    source_id uuid not null,
    -- Empty: unnamed use.
    permission text not null,
    -- Refused, or from a fork: kept apart, so that probing spoils no one else's record.
    untrusted boolean not null,
    kind text not null check (kind in ('ref', 'environment', 'resource_name')),
    value text not null,
    seen_on date not null,
    constraint usage_values_pkey primary key (target_id, source_id, permission, untrusted, kind, value)
);
create index usage_values_seen_idx on usage_values (seen_on);

-- Beside the grants and not in them: no write of usage waits for a maintainer's, nor the other way round.
create table grant_needs (
    grant_id uuid constraint grant_needs_pkey primary key,
    last_needed_at timestamptz not null
);

-- As before, and the monthly partition of usage.
create or replace function ensure_partitions(moment timestamptz) returns void language plpgsql as $$
declare
    day integer := floor(extract(epoch from moment) / 86400);
    month timestamptz := date_trunc('month', moment, 'UTC');
    first_day date := (month at time zone 'UTC')::date;
    suffix text := to_char(month at time zone 'UTC', 'YYYYMM');
    tokens text := 'job_tokens_' || day;
    events text := 'audit_events_' || suffix;
    uses text := 'usage_' || suffix;
begin
    if to_regclass(tokens) is not null and to_regclass(events) is not null and to_regclass(uses) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('jobpass.partitions', 0));
    -- After the wait, what to_regclass says may be old: `if not exists` looks again.
    if to_regclass(tokens) is null then
        execute format('create table if not exists %I partition of job_tokens for values from (%s) to (%s)', tokens, day * 24, (day + 1) * 24);
    end if;
    if to_regclass(events) is null then
        execute format('create table if not exists %I partition of audit_events for values from (%L) to (%L)', events, month, month + interval '1 month');
    end if;
    if to_regclass(uses) is null then
        execute format('create table if not exists %I partition of usage for values from (%L) to (%L)', uses, first_day, (first_day + interval '1 month')::date);
    end if;
end $$;

-- Drops the months of usage that end before this day, forgets values that were not seen since another, and what was
-- needed of grants that are gone. Answers how many months.
create function drop_old_usage(oldest date, forgotten date) returns integer language plpgsql as $$
declare
    partition regclass;
    dropped integer := 0;
begin
    perform pg_advisory_xact_lock(hashtextextended('jobpass.partitions', 0));
    for partition in select inhrelid::regclass from pg_inherits where inhparent = 'usage'::regclass loop
        if to_date(substring(partition::text from '\d+$'), 'YYYYMM') + interval '1 month' <= oldest then
            execute format('drop table %s', partition);
            dropped := dropped + 1;
        end if;
    end loop;
    delete from usage_values where seen_on < forgotten;
    delete from grant_needs where not exists (select from grants where grants.id = grant_id);
    return dropped;
end $$;

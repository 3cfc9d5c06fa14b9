-- Foundation: who exists, what they may do, jobs and their tokens, and who changed what.
--
-- Times and random bytes come from the server process: no default calls now() or gen_random_uuid().
-- Only job tokens and audit events are partitioned by time, and no foreign key enters or leaves them.

-- ── Registry ───────────────────────────────────────────────────────────────────────────────────────

create table users (
    id uuid constraint users_pkey primary key,
    name text not null constraint users_name_key unique,
    administrator boolean not null,
    created_at timestamptz not null
);

create table user_tokens (
    id uuid constraint user_tokens_pkey primary key,
    user_id uuid not null constraint user_tokens_user_fkey references users on delete cascade,
    name text,
    hash bytea not null constraint user_tokens_hash_key unique check (octet_length(hash) = 32),
    read_only boolean not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz not null
);
create index user_tokens_user_idx on user_tokens (user_id);

-- One namespace: a path names a group, a project, or is retired for ever. The triggers below keep it.
create table paths (
    path text collate "C" constraint paths_pkey primary key check (octet_length(path) between 1 and 255),
    kind text not null check (kind in ('group', 'project', 'retired'))
);

-- `name` and `parent_id` say where a group is; `path` and `chain` (the ids from the top down to itself)
-- follow from them, and the triggers keep them so when something above is renamed or moved.
create table groups (
    id uuid constraint groups_pkey primary key,
    parent_id uuid constraint groups_parent_fkey references groups,
    name text collate "C" not null check (name ~ '^[a-z0-9][a-z0-9._-]*$'),
    path text collate "C" not null constraint groups_path_key unique constraint groups_path_length check (octet_length(path) <= 255),
    chain uuid[] not null constraint groups_chain_depth check (cardinality(chain) between 1 and 32),
    floor text not null default 'legacy' check (floor in ('legacy', 'audit', 'enforced')),
    grants_revision bigint not null default 1,
    created_at timestamptz not null
);
create index groups_parent_idx on groups (parent_id);

create table projects (
    id uuid constraint projects_pkey primary key,
    group_id uuid not null constraint projects_group_fkey references groups,
    name text collate "C" not null check (name ~ '^[a-z0-9][a-z0-9._-]*$'),
    path text collate "C" not null constraint projects_path_key unique constraint projects_path_length check (octet_length(path) <= 255),
    chain uuid[] not null check (cardinality(chain) between 1 and 32),
    visibility text not null check (visibility in ('private', 'internal', 'public')),
    mode text not null check (mode in ('legacy', 'audit', 'enforced')),
    protected_refs text[] not null,
    protected_environments text[] not null,
    epoch bigint not null default 1,
    grants_revision bigint not null default 1,
    created_at timestamptz not null
);
create index projects_group_idx on projects (group_id);

create function place_group() returns trigger language plpgsql as $$
declare
    parent groups;
begin
    if new.parent_id is null then
        new.path := new.name;
        new.chain := array[new.id];
    else
        -- A share lock: whoever renames or moves the parent waits, and is then followed.
        select * into strict parent from groups where id = new.parent_id for share;
        if new.id = any(parent.chain) then
            raise check_violation using constraint = 'groups_no_cycle', message = 'a group cannot lie inside itself';
        end if;
        new.path := parent.path || '/' || new.name;
        new.chain := parent.chain || new.id;
    end if;
    return new;
end $$;

create function place_project() returns trigger language plpgsql as $$
declare
    parent groups;
begin
    select * into strict parent from groups where id = new.group_id for share;
    new.path := parent.path || '/' || new.name;
    new.chain := parent.chain;
    return new;
end $$;

-- Registers the path and retires the one that is left.
create function register_path() returns trigger language plpgsql as $$
begin
    if tg_op in ('UPDATE', 'DELETE') and (tg_op = 'DELETE' or old.path <> new.path) then
        update paths set kind = 'retired' where path = old.path;
    end if;
    if tg_op = 'INSERT' or (tg_op = 'UPDATE' and old.path <> new.path) then
        insert into paths (path, kind) values (new.path, tg_argv[0]);
    end if;
    return null;
end $$;

-- What lies below follows: touching a child makes its own trigger read the parent anew.
create function place_children() returns trigger language plpgsql as $$
begin
    update groups set name = name where parent_id = new.id;
    update projects set name = name where group_id = new.id;
    return null;
end $$;

create trigger a_place before insert or update of parent_id, name on groups for each row execute function place_group();
create trigger b_register after insert or update or delete on groups for each row execute function register_path('group');
create trigger c_children after update on groups for each row
    when (old.path <> new.path or old.chain <> new.chain) execute function place_children();
create trigger a_place before insert or update of group_id, name on projects for each row execute function place_project();
create trigger b_register after insert or update or delete on projects for each row execute function register_path('project');

create table memberships (
    user_id uuid not null constraint memberships_user_fkey references users on delete cascade,
    group_id uuid constraint memberships_group_fkey references groups on delete cascade,
    project_id uuid constraint memberships_project_fkey references projects on delete cascade,
    -- An enumeration, so that max() is the highest role.
    role smallint not null check (role between 0 and 4),
    created_at timestamptz not null,
    constraint memberships_one_place check (num_nonnulls(group_id, project_id) = 1),
    constraint memberships_group_key unique (user_id, group_id),
    constraint memberships_project_key unique (user_id, project_id)
);
comment on column memberships.role is '0 guest, 1 reporter, 2 developer, 3 maintainer, 4 owner';
create index memberships_group_idx on memberships (group_id);
create index memberships_project_idx on memberships (project_id);

-- ── Callers ────────────────────────────────────────────────────────────────────────────────────────

create table runners (
    id uuid constraint runners_pkey primary key,
    name text not null,
    group_id uuid constraint runners_group_fkey references groups,
    project_id uuid constraint runners_project_fkey references projects,
    protected boolean not null,
    asserts_actor boolean not null,
    paused boolean not null default false,
    epoch bigint not null default 1,
    created_at timestamptz not null,
    constraint runners_one_scope check (num_nonnulls(group_id, project_id) <= 1)
);
create index runners_group_idx on runners (group_id);
create index runners_project_idx on runners (project_id);

create table services (
    id uuid constraint services_pkey primary key,
    name text not null,
    -- Null: every resource type is shown. Empty: none.
    resources text[],
    project_id uuid constraint services_project_fkey references projects,
    audience text,
    audience_required boolean not null,
    answer_seconds integer not null check (answer_seconds between 1 and 3600),
    paused boolean not null default false,
    created_at timestamptz not null
);
create index services_project_idx on services (project_id);

-- The secrets of runners and services. Two live ones at a time, so that rotation needs no outage: the slot
-- makes a third unwritable.
create table secrets (
    id uuid constraint secrets_pkey primary key,
    runner_id uuid constraint secrets_runner_fkey references runners on delete cascade,
    service_id uuid constraint secrets_service_fkey references services on delete cascade,
    slot smallint not null check (slot in (0, 1)),
    hash bytea not null constraint secrets_hash_key unique check (octet_length(hash) = 32),
    expires_at timestamptz,
    created_at timestamptz not null,
    constraint secrets_one_owner check (num_nonnulls(runner_id, service_id) = 1),
    constraint secrets_runner_slots unique (runner_id, slot),
    constraint secrets_service_slots unique (service_id, slot)
);

-- ── Rules ──────────────────────────────────────────────────────────────────────────────────────────

-- Resource types that an administrator added. A slot is never given to another type: rows stay.
create table resource_types (
    slot smallint constraint resource_types_pkey primary key check (slot between 32 and 63),
    name text not null constraint resource_types_name_key unique check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    description text not null,
    name_form text,
    created_at timestamptz not null
);

create table grants (
    id uuid constraint grants_pkey primary key,
    project_id uuid constraint grants_project_fkey references projects on delete cascade,
    group_id uuid constraint grants_group_fkey references groups on delete cascade,
    -- No cascade from a source: its grants are deleted one by one, each with its audit event.
    source_project_id uuid constraint grants_source_project_fkey references projects,
    source_group_id uuid constraint grants_source_group_fkey references groups,
    except_ids uuid[] not null,
    everything boolean not null,
    permissions text[] not null check (cardinality(permissions) > 0),
    refs text[] check (cardinality(refs) > 0),
    protected_refs_only boolean not null,
    environments text[] check (cardinality(environments) > 0),
    triggers text[] check (cardinality(triggers) > 0),
    allow_forks boolean not null,
    within_actor_role boolean not null,
    vouched_by text not null check (vouched_by in ('any', 'group', 'instance')),
    selectors jsonb not null check (jsonb_typeof(selectors) = 'object'),
    note text not null,
    expires_at timestamptz,
    created_by uuid,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint grants_one_place check (num_nonnulls(project_id, group_id) = 1),
    constraint grants_one_source check (num_nonnulls(source_project_id, source_group_id) = 1),
    constraint grants_except_needs_group check (cardinality(except_ids) = 0 or source_group_id is not null)
);
create index grants_project_idx on grants (project_id, source_project_id, source_group_id);
create index grants_group_idx on grants (group_id, source_project_id, source_group_id);
create index grants_source_project_idx on grants (source_project_id);
create index grants_source_group_idx on grants (source_group_id);

create table ceilings (
    id uuid constraint ceilings_pkey primary key,
    -- Neither: on the instance.
    group_id uuid constraint ceilings_group_fkey references groups on delete cascade,
    project_id uuid constraint ceilings_project_fkey references projects on delete cascade,
    position integer not null,
    side text not null check (side in ('target', 'source')),
    applies_when jsonb not null check (jsonb_typeof(applies_when) = 'object'),
    at_most text[] not null,
    created_at timestamptz not null,
    constraint ceilings_one_place check (num_nonnulls(group_id, project_id) <= 1)
);
create index ceilings_group_idx on ceilings (group_id);
create index ceilings_project_idx on ceilings (project_id);

-- The shipped guardrail: a run from a fork may at most read.
insert into ceilings (id, position, side, applies_when, at_most, created_at)
values ('00000000-0000-7000-8000-000000000001', 0, 'target', '{"from_fork": true}', '{*:read}', '1970-01-01 00:00:00+00');

-- Instance-wide settings: one row.
create table instance (
    singleton boolean constraint instance_pkey primary key default true check (singleton),
    floor text not null default 'legacy' check (floor in ('legacy', 'audit', 'enforced')),
    default_mode text not null default 'enforced' check (default_mode in ('legacy', 'audit', 'enforced'))
);
insert into instance default values;

-- ── Runs, jobs and their tokens ────────────────────────────────────────────────────────────────────

create table pipelines (
    id uuid constraint pipelines_pkey primary key,
    project_id uuid not null constraint pipelines_project_fkey references projects on delete cascade,
    key text not null,
    ref text not null,
    ref_type text not null check (ref_type in ('branch', 'tag', 'merge_request')),
    sha text not null,
    trigger text not null check (trigger in ('push', 'schedule', 'merge_request', 'manual', 'api', 'pipeline')),
    actor text,
    from_fork boolean not null,
    fork_source text,
    epoch bigint not null default 1,
    finished_at timestamptz,
    created_at timestamptz not null,
    constraint pipelines_key unique (project_id, key)
);

create table jobs (
    id uuid constraint jobs_pkey primary key,
    pipeline_id uuid not null constraint jobs_pipeline_fkey references pipelines on delete cascade,
    -- The credential that opened it. Not a foreign key: the job outlives its runner's deletion.
    runner_id uuid not null,
    key text not null,
    name text not null,
    environment text,
    timeout_secs integer not null check (timeout_secs > 0),
    lease_secs integer check (lease_secs > 0),
    state text not null check (state in ('running', 'finished', 'lost')),
    deadline_at timestamptz not null,
    lease_until timestamptz,
    opened_at timestamptz not null,
    ended_at timestamptz,
    constraint jobs_key unique (pipeline_id, key),
    constraint jobs_ended check ((state = 'running') = (ended_at is null)),
    constraint jobs_lease check ((lease_secs is null) = (lease_until is null))
);
create index jobs_open_runner_idx on jobs (runner_id) where state = 'running';

-- Final is final: nothing brings a job back, and what was stated of it stays.
create function keep_job_over() returns trigger language plpgsql as $$
begin
    if old.state <> 'running' and new.state <> old.state then
        raise check_violation using constraint = 'jobs_over_is_final', message = 'a job that is over stays over';
    end if;
    return new;
end $$;
create trigger jobs_over_is_final before update on jobs for each row execute function keep_job_over();

-- Every fact of job and run that a decision needs is frozen here, so that liveness reads two rows.
-- `issued_hour` stands in the token's own text and in the time of its id: each look-up touches one partition.
create table job_tokens (
    issued_hour integer not null,
    id uuid not null,
    hash bytea not null check (octet_length(hash) = 32),
    project_id uuid not null,
    pipeline_id uuid not null,
    job_id uuid not null,
    runner_id uuid not null,
    root_id uuid not null,
    -- The tokens that it was narrowed from, the root first.
    ancestors uuid[] not null check (cardinality(ancestors) <= 8),
    permissions text[],
    audience text[] check (cardinality(audience) between 1 and 8),
    pipeline_key text not null,
    job_key text not null,
    job_name text not null,
    ref text not null,
    ref_type text not null check (ref_type in ('branch', 'tag', 'merge_request')),
    sha text not null,
    protected boolean not null,
    environment text,
    trigger text not null check (trigger in ('push', 'schedule', 'merge_request', 'manual', 'api', 'pipeline')),
    from_fork boolean not null,
    fork_source text,
    -- The actor by id when a runner that asserts actors named a user; else whatever was claimed.
    actor_id uuid,
    actor_claimed text,
    minted_by text not null check (minted_by in ('project', 'group', 'instance')),
    project_epoch bigint not null,
    pipeline_epoch bigint not null,
    runner_epoch bigint not null,
    issued_at timestamptz not null,
    expires_at timestamptz not null check (expires_at > issued_at),
    revoked_at timestamptz,
    -- `parent`: a token that it was narrowed from was revoked.
    revoked_because text check (revoked_because in ('revoked', 'parent', 'leaked', 'given_up')),
    constraint job_tokens_pkey primary key (issued_hour, id),
    constraint job_tokens_hash_key unique (issued_hour, hash),
    constraint job_tokens_revoked check ((revoked_at is null) = (revoked_because is null)),
    constraint job_tokens_root check ((cardinality(ancestors) = 0) = (root_id = id))
) partition by range (issued_hour);
create index job_tokens_job_idx on job_tokens (job_id);
create index job_tokens_project_idx on job_tokens (project_id, id);
create index job_tokens_root_idx on job_tokens (root_id) where cardinality(ancestors) > 0;

-- Idempotency-Key: the answer of a POST that created something, kept in the transaction that created it.
create table idempotency_keys (
    caller_id uuid not null,
    operation text not null,
    key text not null check (octet_length(key) between 1 and 255),
    fingerprint bytea not null check (octet_length(fingerprint) = 32),
    -- Sealed under a key derived from the caller's credential and the Idempotency-Key; neither is stored.
    sealed_answer bytea not null,
    -- The job token in the answer, whose end ends the replay.
    token_hour integer,
    token_hash bytea check (octet_length(token_hash) = 32),
    created_at timestamptz not null,
    expires_at timestamptz not null,
    constraint idempotency_keys_pkey primary key (caller_id, operation, key)
);
create index idempotency_keys_expires_idx on idempotency_keys (expires_at);

-- ── Who changed what ───────────────────────────────────────────────────────────────────────────────

create table audit_events (
    at timestamptz not null,
    id uuid not null,
    actor_kind text not null check (actor_kind in ('user', 'runner', 'service', 'job_token', 'anyone', 'system')),
    actor_id uuid,
    action text not null,
    subject_kind text not null,
    subject_id uuid not null,
    -- The project or group whose owners see it; neither: administrators only.
    project_id uuid,
    group_id uuid,
    -- What was and what is, as the API shows it; never a secret or its hash.
    before jsonb,
    after jsonb,
    reason text,
    request_id uuid,
    constraint audit_events_pkey primary key (at, id)
) partition by range (at);
create index audit_events_project_idx on audit_events (project_id, at, id);
create index audit_events_group_idx on audit_events (group_id, at, id);
create index audit_events_id_idx on audit_events (id);

-- Makes the daily partition of job tokens and the monthly one of audit events that hold this time.
-- Under a lock, so that two servers may ask at once.
create function ensure_partitions(moment timestamptz) returns void language plpgsql as $$
declare
    day integer := floor(extract(epoch from moment) / 86400);
    month timestamptz := date_trunc('month', moment, 'UTC');
    tokens text := 'job_tokens_' || day;
    events text := 'audit_events_' || to_char(month at time zone 'UTC', 'YYYYMM');
begin
    if to_regclass(tokens) is not null and to_regclass(events) is not null then
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
end $$;

-- Drops the partitions of job tokens in which every token has been dead for a day. Answers how many.
create function drop_expired_partitions(moment timestamptz) returns integer language plpgsql as $$
declare
    partition regclass;
    alive boolean;
    dropped integer := 0;
begin
    perform pg_advisory_xact_lock(hashtextextended('jobpass.partitions', 0));
    for partition in select inhrelid::regclass from pg_inherits where inhparent = 'job_tokens'::regclass loop
        -- Recent ones are never looked at: a drop must not race a mint into the same day.
        continue when substring(partition::text from '\d+$')::bigint * 86400 > extract(epoch from moment) - 2 * 86400;
        execute format('select exists (select from %s where expires_at > $1)', partition) into alive using moment - interval '1 day';
        if not alive then
            execute format('drop table %s', partition);
            dropped := dropped + 1;
        end if;
    end loop;
    return dropped;
end $$;

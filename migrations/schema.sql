CREATE FUNCTION public.ensure_partitions(moment timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.keep_job_over() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if old.state <> 'running' and new.state <> old.state then
        raise check_violation using constraint = 'jobs_over_is_final', message = 'a job that is over stays over';
    end if;
    return new;
end $$;

CREATE FUNCTION public.log_changes(kinds text[], subjects uuid[], moment timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.make_partition(parent text, name text, low text, high text) RETURNS void
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.place_children() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    update groups set name = name where parent_id = new.id;
    update projects set name = name where group_id = new.id;
    return null;
end $$;

CREATE FUNCTION public.place_group() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.place_project() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
declare
    parent groups;
begin
    select * into strict parent from groups where id = new.group_id for share;
    new.path := parent.path || '/' || new.name;
    new.chain := parent.chain;
    return new;
end $$;

CREATE FUNCTION public.register_path() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if tg_op in ('UPDATE', 'DELETE') and (tg_op = 'DELETE' or old.path <> new.path) then
        update paths set kind = 'retired' where path = old.path;
    end if;
    if tg_op = 'INSERT' or (tg_op = 'UPDATE' and old.path <> new.path) then
        insert into paths (path, kind) values (new.path, tg_argv[0]);
    end if;
    return null;
end $$;

CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);

CREATE TABLE public.audit_events (
    at timestamp with time zone NOT NULL,
    id uuid NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    action text NOT NULL,
    subject_kind text NOT NULL,
    subject_id uuid NOT NULL,
    project_id uuid,
    group_id uuid,
    before jsonb,
    after jsonb,
    reason text,
    request_id uuid,
    chain uuid[],
    CONSTRAINT audit_events_actor_kind_check CHECK ((actor_kind = ANY (ARRAY['user'::text, 'runner'::text, 'trust_rule'::text, 'service'::text, 'job_token'::text, 'anyone'::text, 'system'::text])))
)
PARTITION BY RANGE (at);

CREATE TABLE public.ceilings (
    id uuid NOT NULL,
    group_id uuid,
    project_id uuid,
    "position" integer NOT NULL,
    side text NOT NULL,
    applies_when jsonb NOT NULL,
    at_most text[] NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ceilings_applies_when_check CHECK ((jsonb_typeof(applies_when) = 'object'::text)),
    CONSTRAINT ceilings_one_place CHECK ((num_nonnulls(group_id, project_id) <= 1)),
    CONSTRAINT ceilings_side_check CHECK ((side = ANY (ARRAY['target'::text, 'source'::text])))
);

CREATE TABLE public.changes (
    number bigint NOT NULL,
    mark uuid NOT NULL,
    kind text NOT NULL,
    subject uuid,
    at timestamp with time zone NOT NULL
);

CREATE TABLE public.client_keys (
    runner_id uuid,
    service_id uuid,
    keys jsonb NOT NULL,
    CONSTRAINT client_keys_list CHECK (((jsonb_typeof(keys) = 'array'::text) AND ((jsonb_array_length(keys) >= 1) AND (jsonb_array_length(keys) <= 8)))),
    CONSTRAINT client_keys_one_owner CHECK ((num_nonnulls(runner_id, service_id) = 1))
);

CREATE TABLE public.grant_needs (
    grant_id uuid NOT NULL,
    last_needed_at timestamp with time zone NOT NULL
);

CREATE TABLE public.grants (
    id uuid NOT NULL,
    project_id uuid,
    group_id uuid,
    source_project_id uuid,
    source_group_id uuid,
    except_ids uuid[] NOT NULL,
    everything boolean NOT NULL,
    permissions text[] NOT NULL,
    refs text[],
    protected_refs_only boolean NOT NULL,
    environments text[],
    triggers text[],
    allow_forks boolean NOT NULL,
    within_actor_role boolean NOT NULL,
    vouched_by text NOT NULL,
    selectors jsonb NOT NULL,
    note text NOT NULL,
    expires_at timestamp with time zone,
    created_by uuid,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT grants_environments_check CHECK ((cardinality(environments) > 0)),
    CONSTRAINT grants_except_needs_group CHECK (((cardinality(except_ids) = 0) OR (source_group_id IS NOT NULL))),
    CONSTRAINT grants_one_place CHECK ((num_nonnulls(project_id, group_id) = 1)),
    CONSTRAINT grants_one_source CHECK ((num_nonnulls(source_project_id, source_group_id) = 1)),
    CONSTRAINT grants_permissions_check CHECK ((cardinality(permissions) > 0)),
    CONSTRAINT grants_refs_check CHECK ((cardinality(refs) > 0)),
    CONSTRAINT grants_selectors_check CHECK ((jsonb_typeof(selectors) = 'object'::text)),
    CONSTRAINT grants_triggers_check CHECK ((cardinality(triggers) > 0)),
    CONSTRAINT grants_vouched_by_check CHECK ((vouched_by = ANY (ARRAY['any'::text, 'group'::text, 'instance'::text])))
);

CREATE TABLE public.groups (
    id uuid NOT NULL,
    parent_id uuid,
    name text NOT NULL COLLATE pg_catalog."C",
    path text NOT NULL COLLATE pg_catalog."C",
    chain uuid[] NOT NULL,
    floor text DEFAULT 'legacy'::text NOT NULL,
    grants_revision bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT groups_chain_depth CHECK (((cardinality(chain) >= 1) AND (cardinality(chain) <= 32))),
    CONSTRAINT groups_floor_check CHECK ((floor = ANY (ARRAY['legacy'::text, 'audit'::text, 'enforced'::text]))),
    CONSTRAINT groups_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]*$'::text)),
    CONSTRAINT groups_path_length CHECK ((octet_length(path) <= 255))
);

CREATE TABLE public.idempotency_keys (
    caller_id uuid NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    sealed_answer bytea NOT NULL,
    token_hour integer,
    token_hash bytea,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT idempotency_keys_fingerprint_check CHECK ((octet_length(fingerprint) = 32)),
    CONSTRAINT idempotency_keys_key_check CHECK (((octet_length(key) >= 1) AND (octet_length(key) <= 255))),
    CONSTRAINT idempotency_keys_token_hash_check CHECK ((octet_length(token_hash) = 32))
);

CREATE TABLE public.instance (
    singleton boolean DEFAULT true NOT NULL,
    floor text DEFAULT 'legacy'::text NOT NULL,
    default_mode text DEFAULT 'enforced'::text NOT NULL,
    CONSTRAINT instance_default_mode_check CHECK ((default_mode = ANY (ARRAY['legacy'::text, 'audit'::text, 'enforced'::text]))),
    CONSTRAINT instance_floor_check CHECK ((floor = ANY (ARRAY['legacy'::text, 'audit'::text, 'enforced'::text]))),
    CONSTRAINT instance_singleton_check CHECK (singleton)
);

CREATE TABLE public.job_tokens (
    issued_hour integer NOT NULL,
    id uuid NOT NULL,
    hash bytea NOT NULL,
    project_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    job_id uuid NOT NULL,
    runner_id uuid,
    root_id uuid NOT NULL,
    ancestors uuid[] NOT NULL,
    permissions text[],
    audience text[],
    pipeline_key text NOT NULL,
    job_key text NOT NULL,
    job_name text NOT NULL,
    ref text NOT NULL,
    ref_type text NOT NULL,
    sha text NOT NULL,
    protected boolean NOT NULL,
    environment text,
    trigger text NOT NULL,
    from_fork boolean NOT NULL,
    fork_source text,
    actor_id uuid,
    actor_claimed text,
    minted_by text NOT NULL,
    project_epoch bigint NOT NULL,
    pipeline_epoch bigint NOT NULL,
    minter_epoch bigint NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    revoked_because text,
    details jsonb,
    trust_rule_id uuid,
    CONSTRAINT job_tokens_ancestors_check CHECK ((cardinality(ancestors) <= 8)),
    CONSTRAINT job_tokens_audience_check CHECK (((cardinality(audience) >= 1) AND (cardinality(audience) <= 8))),
    CONSTRAINT job_tokens_check CHECK ((expires_at > issued_at)),
    CONSTRAINT job_tokens_details CHECK ((jsonb_typeof(details) = 'array'::text)),
    CONSTRAINT job_tokens_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT job_tokens_minted_by_check CHECK ((minted_by = ANY (ARRAY['project'::text, 'group'::text, 'instance'::text]))),
    CONSTRAINT job_tokens_one_minter CHECK ((num_nonnulls(runner_id, trust_rule_id) = 1)),
    CONSTRAINT job_tokens_ref_type_check CHECK ((ref_type = ANY (ARRAY['branch'::text, 'tag'::text, 'merge_request'::text]))),
    CONSTRAINT job_tokens_revoked CHECK (((revoked_at IS NULL) = (revoked_because IS NULL))),
    CONSTRAINT job_tokens_revoked_because_check CHECK ((revoked_because = ANY (ARRAY['revoked'::text, 'parent'::text, 'leaked'::text, 'given_up'::text]))),
    CONSTRAINT job_tokens_root CHECK (((cardinality(ancestors) = 0) = (root_id = id))),
    CONSTRAINT job_tokens_trigger_check CHECK ((trigger = ANY (ARRAY['push'::text, 'schedule'::text, 'merge_request'::text, 'manual'::text, 'api'::text, 'pipeline'::text])))
)
PARTITION BY RANGE (issued_hour);

CREATE TABLE public.jobs (
    id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    runner_id uuid,
    key text NOT NULL,
    name text NOT NULL,
    environment text,
    timeout_secs integer NOT NULL,
    lease_secs integer,
    state text NOT NULL,
    deadline_at timestamp with time zone NOT NULL,
    lease_until timestamp with time zone,
    opened_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    trust_rule_id uuid,
    CONSTRAINT jobs_ended CHECK (((state = 'running'::text) = (ended_at IS NULL))),
    CONSTRAINT jobs_lease CHECK (((lease_secs IS NULL) = (lease_until IS NULL))),
    CONSTRAINT jobs_lease_secs_check CHECK ((lease_secs > 0)),
    CONSTRAINT jobs_one_minter CHECK ((num_nonnulls(runner_id, trust_rule_id) = 1)),
    CONSTRAINT jobs_state_check CHECK ((state = ANY (ARRAY['running'::text, 'finished'::text, 'lost'::text]))),
    CONSTRAINT jobs_timeout_secs_check CHECK ((timeout_secs > 0))
);

CREATE TABLE public.memberships (
    user_id uuid NOT NULL,
    group_id uuid,
    project_id uuid,
    role smallint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT memberships_one_place CHECK ((num_nonnulls(group_id, project_id) = 1)),
    CONSTRAINT memberships_role_check CHECK (((role >= 0) AND (role <= 4)))
);

COMMENT ON COLUMN public.memberships.role IS '0 guest, 1 reporter, 2 developer, 3 maintainer, 4 owner';

CREATE TABLE public.paths (
    path text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    CONSTRAINT paths_kind_check CHECK ((kind = ANY (ARRAY['group'::text, 'project'::text, 'retired'::text]))),
    CONSTRAINT paths_path_check CHECK (((octet_length(path) >= 1) AND (octet_length(path) <= 255)))
);

CREATE TABLE public.pipelines (
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    key text NOT NULL,
    ref text NOT NULL,
    ref_type text NOT NULL,
    sha text NOT NULL,
    trigger text NOT NULL,
    actor text,
    from_fork boolean NOT NULL,
    fork_source text,
    epoch bigint DEFAULT 1 NOT NULL,
    finished_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT pipelines_ref_type_check CHECK ((ref_type = ANY (ARRAY['branch'::text, 'tag'::text, 'merge_request'::text]))),
    CONSTRAINT pipelines_trigger_check CHECK ((trigger = ANY (ARRAY['push'::text, 'schedule'::text, 'merge_request'::text, 'manual'::text, 'api'::text, 'pipeline'::text])))
);

CREATE TABLE public.projects (
    id uuid NOT NULL,
    group_id uuid NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    path text NOT NULL COLLATE pg_catalog."C",
    chain uuid[] NOT NULL,
    visibility text NOT NULL,
    mode text NOT NULL,
    protected_refs text[] NOT NULL,
    protected_environments text[] NOT NULL,
    epoch bigint DEFAULT 1 NOT NULL,
    grants_revision bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT projects_chain_check CHECK (((cardinality(chain) >= 1) AND (cardinality(chain) <= 32))),
    CONSTRAINT projects_mode_check CHECK ((mode = ANY (ARRAY['legacy'::text, 'audit'::text, 'enforced'::text]))),
    CONSTRAINT projects_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]*$'::text)),
    CONSTRAINT projects_path_length CHECK ((octet_length(path) <= 255)),
    CONSTRAINT projects_visibility_check CHECK ((visibility = ANY (ARRAY['private'::text, 'internal'::text, 'public'::text])))
);

CREATE TABLE public.registry_authority (
    singleton boolean DEFAULT true NOT NULL,
    id uuid NOT NULL,
    certificate bytea NOT NULL,
    wrapped_key bytea NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT registry_authority_singleton_check CHECK (singleton)
);

CREATE TABLE public.resource_types (
    slot smallint NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    name_form text,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT resource_types_name_check CHECK ((name ~ '^[a-z][a-z0-9_]{0,62}$'::text)),
    CONSTRAINT resource_types_slot_check CHECK (((slot >= 32) AND (slot <= 63)))
);

CREATE TABLE public.route_tables (
    id uuid NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    yaml text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT route_tables_name_check CHECK (((name ~ '^[a-z][a-z0-9_-]{0,62}$'::text) AND (name <> 'gitlab'::text))),
    CONSTRAINT route_tables_version_check CHECK ((version > 0))
);

CREATE TABLE public.runner_access_tokens (
    id uuid NOT NULL,
    hash bytea NOT NULL,
    runner_id uuid NOT NULL,
    secret_id uuid,
    kid text,
    expires_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT runner_access_tokens_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT runner_access_tokens_one_proof CHECK ((num_nonnulls(secret_id, kid) = 1))
);

CREATE TABLE public.runners (
    id uuid NOT NULL,
    name text NOT NULL,
    group_id uuid,
    project_id uuid,
    protected boolean NOT NULL,
    asserts_actor boolean NOT NULL,
    paused boolean DEFAULT false NOT NULL,
    epoch bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT runners_one_scope CHECK ((num_nonnulls(group_id, project_id) <= 1))
);

CREATE TABLE public.secrets (
    id uuid NOT NULL,
    runner_id uuid,
    service_id uuid,
    slot smallint NOT NULL,
    hash bytea NOT NULL,
    expires_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT secrets_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT secrets_one_owner CHECK ((num_nonnulls(runner_id, service_id) = 1)),
    CONSTRAINT secrets_slot_check CHECK ((slot = ANY (ARRAY[0, 1])))
);

CREATE TABLE public.services (
    id uuid NOT NULL,
    name text NOT NULL,
    resources text[],
    project_id uuid,
    audience text,
    audience_required boolean NOT NULL,
    answer_seconds integer NOT NULL,
    paused boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone NOT NULL,
    route_table text DEFAULT 'gitlab'::text NOT NULL COLLATE pg_catalog."C",
    operator_route_table text GENERATED ALWAYS AS (NULLIF(route_table, 'gitlab'::text)) STORED COLLATE pg_catalog."C",
    forward_auth jsonb,
    CONSTRAINT services_answer_seconds_check CHECK (((answer_seconds >= 1) AND (answer_seconds <= 3600))),
    CONSTRAINT services_forward_auth CHECK ((jsonb_typeof(forward_auth) = 'object'::text))
);

CREATE TABLE public.signing_keys (
    id uuid NOT NULL,
    kid text NOT NULL,
    algorithm text NOT NULL,
    wrapped_key bytea,
    sealed bytea,
    published_at timestamp with time zone NOT NULL,
    signs_from timestamp with time zone NOT NULL,
    signs_until timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT signing_keys_algorithm_check CHECK ((algorithm = ANY (ARRAY['RS256'::text, 'ES256'::text, 'EdDSA'::text]))),
    CONSTRAINT signing_keys_published_first CHECK ((published_at <= signs_from)),
    CONSTRAINT signing_keys_sealed CHECK ((num_nonnulls(wrapped_key, sealed) =
CASE
    WHEN (revoked_at IS NULL) THEN 2
    ELSE 0
END)),
    CONSTRAINT signing_keys_signs CHECK ((signs_from <= signs_until))
);

CREATE TABLE public.token_days (
    day integer NOT NULL,
    latest_expiry timestamp with time zone NOT NULL
);

CREATE TABLE public.trust_rules (
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    name text NOT NULL,
    issuer text NOT NULL,
    jwks_uri text,
    ci text NOT NULL,
    claims jsonb NOT NULL,
    permissions text[],
    protected boolean NOT NULL,
    excludes_forks boolean NOT NULL,
    max_lifetime_secs integer NOT NULL,
    paused boolean NOT NULL,
    epoch bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT trust_rules_ci_check CHECK ((ci = ANY (ARRAY['github'::text, 'gitlab'::text, 'buildkite'::text, 'forgejo'::text, 'circleci'::text, 'kubernetes'::text]))),
    CONSTRAINT trust_rules_claims_check CHECK ((jsonb_typeof(claims) = 'object'::text)),
    CONSTRAINT trust_rules_max_lifetime_secs_check CHECK (((max_lifetime_secs >= 1) AND (max_lifetime_secs <= 604800)))
);

CREATE TABLE public.usage (
    day date NOT NULL,
    key uuid NOT NULL,
    target_id uuid NOT NULL,
    source_id uuid NOT NULL,
    permission text,
    service_id uuid,
    allowed boolean NOT NULL,
    reason text,
    would_deny boolean NOT NULL,
    ref text NOT NULL,
    ref_type text NOT NULL,
    protected boolean NOT NULL,
    environment text,
    trigger text NOT NULL,
    from_fork boolean NOT NULL,
    minted_by text NOT NULL,
    actor_role smallint,
    resource_name text,
    count bigint NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    last_job_id uuid NOT NULL,
    CONSTRAINT usage_actor_role_check CHECK (((actor_role >= 0) AND (actor_role <= 4))),
    CONSTRAINT usage_count_check CHECK ((count > 0)),
    CONSTRAINT usage_minted_by_check CHECK ((minted_by = ANY (ARRAY['project'::text, 'group'::text, 'instance'::text]))),
    CONSTRAINT usage_ref_type_check CHECK ((ref_type = ANY (ARRAY['branch'::text, 'tag'::text, 'merge_request'::text]))),
    CONSTRAINT usage_trigger_check CHECK ((trigger = ANY (ARRAY['push'::text, 'schedule'::text, 'merge_request'::text, 'manual'::text, 'api'::text, 'pipeline'::text]))),
    CONSTRAINT usage_what CHECK ((num_nonnulls(permission, service_id) = 1))
)
PARTITION BY RANGE (day);

COMMENT ON COLUMN public.usage.actor_role IS '0 guest, 1 reporter, 2 developer, 3 maintainer, 4 owner';

CREATE TABLE public.usage_values (
    target_id uuid NOT NULL,
    source_id uuid NOT NULL,
    permission text NOT NULL,
    untrusted boolean NOT NULL,
    kind text NOT NULL,
    value text NOT NULL,
    seen_on date NOT NULL,
    CONSTRAINT usage_values_kind_check CHECK ((kind = ANY (ARRAY['ref'::text, 'environment'::text, 'resource_name'::text])))
);

CREATE TABLE public.used_assertions (
    hash bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT used_assertions_hash_check CHECK ((octet_length(hash) = 32))
);

CREATE TABLE public.user_tokens (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text,
    hash bytea NOT NULL,
    read_only boolean NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT user_tokens_hash_check CHECK ((octet_length(hash) = 32))
);

CREATE TABLE public.users (
    id uuid NOT NULL,
    name text NOT NULL,
    administrator boolean NOT NULL,
    created_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.audit_events
    ADD CONSTRAINT audit_events_pkey PRIMARY KEY (at, id);

ALTER TABLE ONLY public.ceilings
    ADD CONSTRAINT ceilings_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.changes
    ADD CONSTRAINT changes_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.client_keys
    ADD CONSTRAINT client_keys_runner_key UNIQUE (runner_id);

ALTER TABLE ONLY public.client_keys
    ADD CONSTRAINT client_keys_service_key UNIQUE (service_id);

ALTER TABLE ONLY public.grant_needs
    ADD CONSTRAINT grant_needs_pkey PRIMARY KEY (grant_id);

ALTER TABLE ONLY public.grants
    ADD CONSTRAINT grants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.groups
    ADD CONSTRAINT groups_path_key UNIQUE (path);

ALTER TABLE ONLY public.groups
    ADD CONSTRAINT groups_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (caller_id, operation, key);

ALTER TABLE ONLY public.instance
    ADD CONSTRAINT instance_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY public.job_tokens
    ADD CONSTRAINT job_tokens_hash_key UNIQUE (issued_hour, hash);

ALTER TABLE ONLY public.job_tokens
    ADD CONSTRAINT job_tokens_pkey PRIMARY KEY (issued_hour, id);

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_key UNIQUE (pipeline_id, key);

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_group_key UNIQUE (user_id, group_id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_project_key UNIQUE (user_id, project_id);

ALTER TABLE ONLY public.paths
    ADD CONSTRAINT paths_pkey PRIMARY KEY (path);

ALTER TABLE ONLY public.pipelines
    ADD CONSTRAINT pipelines_key UNIQUE (project_id, key);

ALTER TABLE ONLY public.pipelines
    ADD CONSTRAINT pipelines_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_path_key UNIQUE (path);

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.registry_authority
    ADD CONSTRAINT registry_authority_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY public.resource_types
    ADD CONSTRAINT resource_types_name_key UNIQUE (name);

ALTER TABLE ONLY public.resource_types
    ADD CONSTRAINT resource_types_pkey PRIMARY KEY (slot);

ALTER TABLE ONLY public.route_tables
    ADD CONSTRAINT route_tables_name_key UNIQUE (name);

ALTER TABLE ONLY public.route_tables
    ADD CONSTRAINT route_tables_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.runner_access_tokens
    ADD CONSTRAINT runner_access_tokens_hash_key UNIQUE (hash);

ALTER TABLE ONLY public.runner_access_tokens
    ADD CONSTRAINT runner_access_tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.runners
    ADD CONSTRAINT runners_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_hash_key UNIQUE (hash);

ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_runner_slots UNIQUE (runner_id, slot);

ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_service_slots UNIQUE (service_id, slot);

ALTER TABLE ONLY public.services
    ADD CONSTRAINT services_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.signing_keys
    ADD CONSTRAINT signing_keys_kid_key UNIQUE (kid);

ALTER TABLE ONLY public.signing_keys
    ADD CONSTRAINT signing_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.token_days
    ADD CONSTRAINT token_days_pkey PRIMARY KEY (day);

ALTER TABLE ONLY public.trust_rules
    ADD CONSTRAINT trust_rules_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.usage
    ADD CONSTRAINT usage_pkey PRIMARY KEY (day, key);

ALTER TABLE ONLY public.usage_values
    ADD CONSTRAINT usage_values_pkey PRIMARY KEY (target_id, source_id, permission, untrusted, kind, value);

ALTER TABLE ONLY public.used_assertions
    ADD CONSTRAINT used_assertions_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY public.user_tokens
    ADD CONSTRAINT user_tokens_hash_key UNIQUE (hash);

ALTER TABLE ONLY public.user_tokens
    ADD CONSTRAINT user_tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_name_key UNIQUE (name);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

CREATE INDEX audit_events_group_idx ON ONLY public.audit_events USING btree (group_id, at, id);

CREATE INDEX audit_events_id_idx ON ONLY public.audit_events USING btree (id);

CREATE INDEX audit_events_project_idx ON ONLY public.audit_events USING btree (project_id, at, id);

CREATE INDEX ceilings_group_idx ON public.ceilings USING btree (group_id);

CREATE INDEX ceilings_project_idx ON public.ceilings USING btree (project_id);

CREATE INDEX changes_at_idx ON public.changes USING btree (at);

CREATE INDEX grants_group_idx ON public.grants USING btree (group_id, source_project_id, source_group_id);

CREATE INDEX grants_project_idx ON public.grants USING btree (project_id, source_project_id, source_group_id);

CREATE INDEX grants_source_group_idx ON public.grants USING btree (source_group_id);

CREATE INDEX grants_source_project_idx ON public.grants USING btree (source_project_id);

CREATE INDEX groups_parent_idx ON public.groups USING btree (parent_id);

CREATE INDEX idempotency_keys_expires_idx ON public.idempotency_keys USING btree (expires_at);

CREATE INDEX job_tokens_job_idx ON ONLY public.job_tokens USING btree (job_id);

CREATE INDEX job_tokens_project_idx ON ONLY public.job_tokens USING btree (project_id, id);

CREATE INDEX job_tokens_root_idx ON ONLY public.job_tokens USING btree (root_id) WHERE (cardinality(ancestors) > 0);

CREATE INDEX jobs_open_runner_idx ON public.jobs USING btree (runner_id) WHERE (state = 'running'::text);

CREATE INDEX memberships_group_idx ON public.memberships USING btree (group_id);

CREATE INDEX memberships_project_idx ON public.memberships USING btree (project_id);

CREATE INDEX projects_group_idx ON public.projects USING btree (group_id);

CREATE INDEX runner_access_tokens_expires_idx ON public.runner_access_tokens USING btree (expires_at);

CREATE INDEX runner_access_tokens_runner_idx ON public.runner_access_tokens USING btree (runner_id);

CREATE INDEX runner_access_tokens_secret_idx ON public.runner_access_tokens USING btree (secret_id);

CREATE INDEX runners_group_idx ON public.runners USING btree (group_id);

CREATE INDEX runners_project_idx ON public.runners USING btree (project_id);

CREATE INDEX services_project_idx ON public.services USING btree (project_id);

CREATE INDEX services_route_table_idx ON public.services USING btree (operator_route_table);

CREATE INDEX trust_rules_project_idx ON public.trust_rules USING btree (project_id, issuer);

CREATE INDEX usage_source_idx ON ONLY public.usage USING btree (source_id);

CREATE INDEX usage_target_idx ON ONLY public.usage USING btree (target_id, source_id, permission);

CREATE INDEX usage_values_seen_idx ON public.usage_values USING btree (seen_on);

CREATE INDEX used_assertions_expires_idx ON public.used_assertions USING btree (expires_at);

CREATE INDEX user_tokens_user_idx ON public.user_tokens USING btree (user_id);

CREATE TRIGGER a_place BEFORE INSERT OR UPDATE OF parent_id, name ON public.groups FOR EACH ROW EXECUTE FUNCTION public.place_group();

CREATE TRIGGER a_place BEFORE INSERT OR UPDATE OF group_id, name ON public.projects FOR EACH ROW EXECUTE FUNCTION public.place_project();

CREATE TRIGGER b_register AFTER INSERT OR DELETE OR UPDATE ON public.groups FOR EACH ROW EXECUTE FUNCTION public.register_path('group');

CREATE TRIGGER b_register AFTER INSERT OR DELETE OR UPDATE ON public.projects FOR EACH ROW EXECUTE FUNCTION public.register_path('project');

CREATE TRIGGER c_children AFTER UPDATE ON public.groups FOR EACH ROW WHEN (((old.path <> new.path) OR (old.chain <> new.chain))) EXECUTE FUNCTION public.place_children();

CREATE TRIGGER jobs_over_is_final BEFORE UPDATE ON public.jobs FOR EACH ROW EXECUTE FUNCTION public.keep_job_over();

ALTER TABLE ONLY public.ceilings
    ADD CONSTRAINT ceilings_group_fkey FOREIGN KEY (group_id) REFERENCES public.groups(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.ceilings
    ADD CONSTRAINT ceilings_project_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.client_keys
    ADD CONSTRAINT client_keys_runner_fkey FOREIGN KEY (runner_id) REFERENCES public.runners(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.client_keys
    ADD CONSTRAINT client_keys_service_fkey FOREIGN KEY (service_id) REFERENCES public.services(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.grants
    ADD CONSTRAINT grants_group_fkey FOREIGN KEY (group_id) REFERENCES public.groups(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.grants
    ADD CONSTRAINT grants_project_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.grants
    ADD CONSTRAINT grants_source_group_fkey FOREIGN KEY (source_group_id) REFERENCES public.groups(id);

ALTER TABLE ONLY public.grants
    ADD CONSTRAINT grants_source_project_fkey FOREIGN KEY (source_project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.groups
    ADD CONSTRAINT groups_parent_fkey FOREIGN KEY (parent_id) REFERENCES public.groups(id);

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pipeline_fkey FOREIGN KEY (pipeline_id) REFERENCES public.pipelines(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_group_fkey FOREIGN KEY (group_id) REFERENCES public.groups(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_project_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_user_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.pipelines
    ADD CONSTRAINT pipelines_project_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_group_fkey FOREIGN KEY (group_id) REFERENCES public.groups(id);

ALTER TABLE ONLY public.runner_access_tokens
    ADD CONSTRAINT runner_access_tokens_runner_fkey FOREIGN KEY (runner_id) REFERENCES public.runners(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.runner_access_tokens
    ADD CONSTRAINT runner_access_tokens_secret_fkey FOREIGN KEY (secret_id) REFERENCES public.secrets(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.runners
    ADD CONSTRAINT runners_group_fkey FOREIGN KEY (group_id) REFERENCES public.groups(id);

ALTER TABLE ONLY public.runners
    ADD CONSTRAINT runners_project_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_runner_fkey FOREIGN KEY (runner_id) REFERENCES public.runners(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_service_fkey FOREIGN KEY (service_id) REFERENCES public.services(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.services
    ADD CONSTRAINT services_project_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.services
    ADD CONSTRAINT services_route_table_fkey FOREIGN KEY (operator_route_table) REFERENCES public.route_tables(name);

ALTER TABLE ONLY public.trust_rules
    ADD CONSTRAINT trust_rules_project_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.user_tokens
    ADD CONSTRAINT user_tokens_user_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;


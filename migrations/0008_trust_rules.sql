-- Trust rules: a project takes the word of another CI's identity provider, under conditions on signed claims. A rule is a
-- minting credential like a runner, without a secret: what it minted refers to it, and dies with its epoch.

create table trust_rules (
    id uuid constraint trust_rules_pkey primary key,
    project_id uuid not null constraint trust_rules_project_fkey references projects,
    name text not null,
    issuer text not null,
    -- Null: as the issuer's own discovery document says.
    jwks_uri text,
    ci text not null check (ci in ('github', 'gitlab', 'buildkite', 'forgejo', 'circleci', 'kubernetes')),
    -- Claim to patterns; all claims must match.
    claims jsonb not null check (jsonb_typeof(claims) = 'object'),
    -- Null: no cap.
    permissions text[],
    protected boolean not null,
    excludes_forks boolean not null,
    max_lifetime_secs integer not null check (max_lifetime_secs between 1 and 604800),
    paused boolean not null,
    epoch bigint not null default 1,
    created_at timestamptz not null
);
create index trust_rules_project_idx on trust_rules (project_id, issuer);

-- The credential that opened a job and minted a token is one of two kinds; neither is a foreign key, as both outlive it.
alter table jobs alter column runner_id drop not null;
alter table jobs add column trust_rule_id uuid;
alter table jobs add constraint jobs_one_minter check (num_nonnulls(runner_id, trust_rule_id) = 1);

alter table job_tokens alter column runner_id drop not null;
alter table job_tokens add column trust_rule_id uuid;
alter table job_tokens add constraint job_tokens_one_minter check (num_nonnulls(runner_id, trust_rule_id) = 1);
alter table job_tokens rename column runner_epoch to minter_epoch;

alter table audit_events drop constraint audit_events_actor_kind_check;
alter table audit_events add constraint audit_events_actor_kind_check
    check (actor_kind in ('user', 'runner', 'trust_rule', 'service', 'job_token', 'anyone', 'system'));

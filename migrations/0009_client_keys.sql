-- How clients prove themselves without a secret (RFC 7523), and what a runner gets for it (RFC 6749, section 4.4).

-- The public keys of runners and services: one list a client, written as a whole.
create table client_keys (
    runner_id uuid constraint client_keys_runner_key unique
        constraint client_keys_runner_fkey references runners on delete cascade,
    service_id uuid constraint client_keys_service_key unique
        constraint client_keys_service_fkey references services on delete cascade,
    keys jsonb not null constraint client_keys_list check (jsonb_typeof(keys) = 'array' and jsonb_array_length(keys) between 1 and 8),
    constraint client_keys_one_owner check (num_nonnulls(runner_id, service_id) = 1)
);

-- Short-lived tokens of runners, beside their secrets.
create table runner_access_tokens (
    id uuid constraint runner_access_tokens_pkey primary key,
    hash bytea not null constraint runner_access_tokens_hash_key unique check (octet_length(hash) = 32),
    runner_id uuid not null constraint runner_access_tokens_runner_fkey references runners on delete cascade,
    -- What it was got with, and dies with.
    secret_id uuid constraint runner_access_tokens_secret_fkey references secrets on delete cascade,
    kid text,
    expires_at timestamptz not null,
    created_at timestamptz not null,
    constraint runner_access_tokens_one_proof check (num_nonnulls(secret_id, kid) = 1)
);
create index runner_access_tokens_runner_idx on runner_access_tokens (runner_id);
create index runner_access_tokens_secret_idx on runner_access_tokens (secret_id);
create index runner_access_tokens_expires_idx on runner_access_tokens (expires_at);

-- What container registries trust: a certificate that they are given once, and its key, sealed as signing keys are.

create table registry_authority (
    singleton boolean not null default true constraint registry_authority_pkey primary key check (singleton),
    id uuid not null,
    -- DER.
    certificate bytea not null,
    wrapped_key bytea not null,
    sealed bytea not null,
    created_at timestamptz not null
);

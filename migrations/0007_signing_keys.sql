-- The keys that sign ID tokens. The private part is there sealed only: under a key of its own, which is sealed under the
-- instance's encryption key, which no database holds.

create table signing_keys (
    id uuid constraint signing_keys_pkey primary key,
    -- The public key's thumbprint (RFC 7638).
    kid text not null constraint signing_keys_kid_key unique,
    algorithm text not null check (algorithm in ('RS256', 'ES256', 'EdDSA')),
    -- Null once the key is revoked: what is not there cannot be opened.
    wrapped_key bytea,
    sealed bytea,
    published_at timestamptz not null,
    signs_from timestamptz not null,
    -- When its successor takes over; null: it has none yet.
    signs_until timestamptz,
    revoked_at timestamptz,
    constraint signing_keys_sealed check (num_nonnulls(wrapped_key, sealed) = case when revoked_at is null then 2 else 0 end),
    constraint signing_keys_published_first check (published_at <= signs_from),
    constraint signing_keys_signs check (signs_from <= signs_until)
);

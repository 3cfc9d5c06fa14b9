-- Assertions (RFC 7523, section 3; CI's ID tokens): each is taken once. Kept as hashes until none of them could be taken any more.

create table used_assertions (
    -- SHA-256 of issuer and `jti`.
    hash bytea constraint used_assertions_pkey primary key check (octet_length(hash) = 32),
    expires_at timestamptz not null
);
create index used_assertions_expires_idx on used_assertions (expires_at);

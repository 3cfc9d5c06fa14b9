-- What a token is confined to, project by project (RFC 9396). Null: its cap alone.

alter table job_tokens add column details jsonb constraint job_tokens_details check (jsonb_typeof(details) = 'array');

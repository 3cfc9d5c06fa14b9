-- How a service's gateway asks. Null: none may.

alter table services add forward_auth jsonb constraint services_forward_auth check (jsonb_typeof(forward_auth) = 'object');

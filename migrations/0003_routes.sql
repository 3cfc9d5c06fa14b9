-- Routes: tables that operators describe, and by which table a service's paths are read.

create table route_tables (
    id uuid constraint route_tables_pkey primary key,
    name text collate "C" not null constraint route_tables_name_key unique check (name ~ '^[a-z][a-z0-9_-]{0,62}$' and name <> 'gitlab'),
    -- Every change of the text makes the next.
    version bigint not null check (version > 0),
    yaml text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

alter table services add route_table text collate "C" not null default 'gitlab';

-- `gitlab` is built in and has no row. Any other table stays while a service names it.
alter table services add operator_route_table text collate "C" generated always as (nullif(route_table, 'gitlab')) stored
    constraint services_route_table_fkey references route_tables (name);
create index services_route_table_idx on services (operator_route_table);

-- The groups above the place of an event when it happened: what is deleted or moved takes no history away from their owners.
-- Null in events from before this.
alter table audit_events add column chain uuid[];

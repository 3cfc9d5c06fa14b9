//! A fresh database per test, cloned from a template that is migrated once per run of the tests.

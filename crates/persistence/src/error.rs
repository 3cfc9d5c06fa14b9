//! What can go wrong with the database, told apart only as far as callers can act on it.

use thiserror::Error;

#[derive(Debug, Error)]
pub enum Error {
    /// The database is away, out of connections, or gave up on a deadlock: worth another try.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A constraint refused the write.
    #[error("constraint {0}")]
    Constraint(String),
    /// A row that the schema should have made impossible, or a statement that does not fit it.
    #[error("database: {0}")]
    Internal(String),
    /// A transaction would have ended without an audit event. A defect of ours.
    #[error("a write without an audit event")]
    Unaudited,
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Error {
        match &error {
            sqlx::Error::Database(database) => match (database.constraint(), database.code().as_deref()) {
                (Some(constraint), _) => Error::Constraint(constraint.to_owned()),
                // A trigger that looked for the group above, which was deleted meanwhile.
                (None, Some("P0002")) => Error::Constraint("parent_fkey".to_owned()),
                // Connections, locks, resources, operators, rollbacks: the classes of SQLSTATE that another try may mend.
                (None, Some(code))
                    if ["08", "25", "3D", "40", "53", "55", "57"].iter().any(|class| code.starts_with(class)) =>
                {
                    Error::Unavailable(error.to_string())
                }
                _ => Error::Internal(error.to_string()),
            },
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::Encode(_)
            | sqlx::Error::RowNotFound => Error::Internal(error.to_string()),
            _ => Error::Unavailable(error.to_string()),
        }
    }
}

/// Gives a refused write its meaning at the call that knows it.
pub trait OnConstraint<T> {
    fn on_constraint<E: From<Error>>(self, name: &str, refusal: impl FnOnce() -> E) -> std::result::Result<T, E>;
}

impl<T> OnConstraint<T> for Result<T, Error> {
    fn on_constraint<E: From<Error>>(self, name: &str, refusal: impl FnOnce() -> E) -> std::result::Result<T, E> {
        self.map_err(|error| match error {
            Error::Constraint(constraint) if constraint == name => refusal(),
            other => other.into(),
        })
    }
}

/// A text that the schema limits to what the domain knows.
pub(crate) fn stored<T>(value: Option<T>) -> Result<T, Error> {
    value.ok_or_else(|| Error::Internal("a stored value that the domain does not know".to_owned()))
}

/// A text that was checked when it was written.
pub(crate) fn parsed<T, E: std::fmt::Display>(value: Result<T, E>) -> Result<T, Error> {
    value.map_err(|error| Error::Internal(format!("a stored value does not parse: {error}")))
}

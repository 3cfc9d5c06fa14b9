//! What the person who imports should know. Texts come from files and servers: each note stays one line.

use crate::one_line::one_line;
use std::fmt;

#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Note>);

#[derive(Debug)]
struct Note {
    about: String,
    lost: bool,
    text: String,
}

impl Notes {
    /// Something that GitLab has and the grants do not.
    pub(super) fn lost(&mut self, about: &impl fmt::Display, text: impl Into<String>) {
        self.0.push(Note { about: about.to_string(), lost: true, text: text.into() });
    }

    /// Something that was assumed, or that differs between the two.
    pub(super) fn said(&mut self, about: &impl fmt::Display, text: impl Into<String>) {
        self.0.push(Note { about: about.to_string(), lost: false, text: text.into() });
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.lost { "could not be carried over" } else { "note" };
        write!(f, "{kind}: {}: {}", one_line(&self.about), one_line(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_one_line() {
        let mut notes = Notes::default();
        notes.lost(&"acme/lib", "group a\nb\u{1b}[31m");
        assert_eq!(
            notes.lines().collect::<Vec<_>>(),
            ["could not be carried over: acme/lib: group a\u{fffd}b\u{fffd}[31m"]
        );
    }
}

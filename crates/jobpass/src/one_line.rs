//! Texts that come from files and servers, made safe to be shown.

/// The text without what could end a line or drive a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

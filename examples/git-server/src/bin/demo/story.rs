//! How the story is told and checked: numbered steps, requests in short, answers with their status. Secrets
//! are shown by their prefix only.

use reqwest::{Client, Method};
use serde_json::Value;
use std::fmt::{self, Display};
use std::io::IsTerminal;
use std::time::Duration;

/// Unlike `println!` it does not end the story when nobody reads it any longer: there is still much to clean up.
macro_rules! say {
    ($($text:tt)+) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($text)+);
    }};
}
pub(crate) use say;

const WIDTH: usize = 150;
const TOKEN_PREFIXES: [&str; 4] = ["jpj_", "jpr_", "jps_", "jpu_"];

pub(crate) struct Story {
    http: Option<Client>,
    base: String,
    step: usize,
    colour: bool,
}

/// Somebody with a credential.
pub(crate) struct Caller {
    pub(crate) name: &'static str,
    pub(crate) secret: String,
}

/// What was expected and what was seen instead.
#[derive(Debug)]
pub(crate) struct Wrong(String);

impl Wrong {
    pub(crate) fn new(what: impl Into<String>) -> Wrong {
        Wrong(what.into())
    }

    pub(crate) fn expected(expected: impl Display, seen: impl Display) -> Wrong {
        Wrong(format!("  expected: {expected}\n  seen:     {}", mask(&seen.to_string())))
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Wrong {
    fn from(error: std::io::Error) -> Wrong {
        Wrong(format!("  {error}"))
    }
}

impl Story {
    pub(crate) fn new() -> Story {
        Story { http: None, base: String::new(), step: 0, colour: std::io::stdout().is_terminal() }
    }

    pub(crate) fn step(&self) -> usize {
        self.step
    }

    /// From here on requests go to this Jobpass.
    pub(crate) fn with_jobpass(&mut self, http: Client, base: String) {
        (self.http, self.base) = (Some(http), base);
    }

    /// Opens a step.
    pub(crate) fn act(&mut self, who_does_what: &str, why: &str) {
        self.step += 1;
        say!("\n{}", self.paint("1", &format!("{:>2}  {who_does_what}", self.step)));
        say!("    {}", self.paint("2", why));
    }

    /// What is sent or run; whole, so that a reader can do the same.
    pub(crate) fn does(&self, what: &str) {
        say!("    {} {}", self.paint("36", "→"), mask(what));
    }

    /// What comes back, in short.
    pub(crate) fn sees(&self, what: &str) {
        say!("    {} {}", self.paint("36", "←"), shorten(what));
    }

    /// Something that was checked.
    pub(crate) fn holds(&self, what: &str) {
        say!("    {} {what}", self.paint("32", "✓"));
    }

    /// One request with a JSON body, checked for its status. Answers the body.
    pub(crate) async fn call(
        &self,
        caller: &Caller,
        method: Method,
        path: &str,
        body: &str,
        expected: u16,
    ) -> Result<Value, Wrong> {
        Ok(self.call_if(caller, (method, path), None, body, expected).await?.0)
    }

    /// The same, if what is changed still has this ETag. Answers the body, and the ETag that came with it.
    pub(crate) async fn call_if(
        &self,
        caller: &Caller,
        (method, path): (Method, &str),
        still: Option<&str>,
        body: &str,
        expected: u16,
    ) -> Result<(Value, String), Wrong> {
        let name = caller.name;
        let precondition = still.map(|tag| format!(" (If-Match: {tag})")).unwrap_or_default();
        self.does(&format!("{name}: {method} {path}{precondition} {body}"));
        let http = self.http.as_ref().ok_or_else(|| Wrong::new("Jobpass is not there yet"))?;
        let request = http.request(method, format!("{}{path}", self.base)).bearer_auth(&caller.secret);
        let mut request = request.header("content-type", "application/json").body(body.to_owned());
        if let Some(tag) = still {
            request = request.header("if-match", tag);
        }
        let response = request.send().await.map_err(|error| Wrong::expected(expected, error))?;
        let status = response.status();
        let tag = response.headers().get("etag").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let answer = response.text().await.map_err(|error| Wrong::expected("an answer", error))?;
        if status.as_u16() != expected {
            return Err(Wrong::expected(format!("status {expected}"), format!("{status} {answer}")));
        }
        let answer = serde_json::from_str(&answer).map_err(|error| Wrong::expected("JSON", error))?;
        self.sees(&format!("{status} {}", telling(&answer)));
        Ok((answer, tag))
    }

    pub(crate) fn summary(&self, elapsed: Duration) {
        let seconds = elapsed.as_secs_f32();
        let text = format!("All {} steps went as they should, in {seconds:.1} s. Nothing is left running.", self.step);
        say!("\n{}", self.paint("1;32", &text));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A text field of an answer.
pub(crate) fn field(answer: &Value, name: &str) -> Result<String, Wrong> {
    let text = answer.get(name).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| Wrong::expected(format!("the field {name}"), answer))
}

/// An answer without what tells a reader nothing: ids, times of writing, and what is not set.
fn telling(answer: &Value) -> Value {
    match answer {
        Value::Object(fields) => {
            let written = |name: &str| matches!(name, "created_at" | "updated_at");
            let told = fields.iter().filter(|(name, value)| !written(name) && !is_unset(value) && !is_id(value));
            told.map(|(name, value)| (name.clone(), telling(value))).collect()
        }
        other => other.clone(),
    }
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_unset),
        _ => false,
    }
}

fn is_id(value: &Value) -> bool {
    let hyphens = [8, 13, 18, 23];
    value
        .as_str()
        .is_some_and(|text| text.len() == 36 && hyphens.iter().all(|at| text.as_bytes().get(*at) == Some(&b'-')))
}

fn shorten(text: &str) -> String {
    let text = mask(text);
    if text.chars().count() <= WIDTH {
        return text;
    }
    text.chars().take(WIDTH).chain(['…']).collect()
}

/// Leaves the prefix of each token and an ellipsis.
pub(crate) fn mask(text: &str) -> String {
    let mut masked = text.to_owned();
    for prefix in TOKEN_PREFIXES {
        let mut pieces = masked.split(prefix);
        let first = pieces.next().unwrap_or_default().to_owned();
        masked = pieces.fold(first, |before, piece| {
            let rest = piece.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
            let dots = if rest.len() < piece.len() { "…" } else { "" };
            before + prefix + dots + rest
        });
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_are_masked() {
        let text = r#"{"token":"jpj_25l21SzmG","other":"jpu_ab jpu_cd"} jps_"#;
        assert_eq!(mask(text), r#"{"token":"jpj_…","other":"jpu_… jpu_…"} jps_"#);
        assert_eq!(shorten(&"é".repeat(200)).chars().count(), WIDTH + 1);
    }

    #[test]
    fn answers_are_told_in_short() {
        let id = "01a207aa-6227-7665-b08b-3e00f4771d3f";
        let answer =
            json!({"id": id, "name": "olga", "on": null, "created_at": "now", "where": {"id": id, "path": "acme"}});
        assert_eq!(telling(&answer), json!({"name": "olga", "where": {"path": "acme"}}));
    }
}

//! How a route names its resource: a text with parameters of the path in braces, as in `npm/{package_name}`.

use thiserror::Error;

/// The longest template, in bytes.
const MAX_TEMPLATE: usize = 255;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum InvalidName {
    #[error("1 to {MAX_TEMPLATE} bytes on one line")]
    Length,
    #[error("a parameter stands in braces, as in `npm/{{name}}`")]
    Braces,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Parameter(String),
}

impl NameTemplate {
    pub(super) fn parse(text: &str) -> Result<NameTemplate, InvalidName> {
        if text.is_empty() || text.len() > MAX_TEMPLATE || text.chars().any(char::is_control) {
            return Err(InvalidName::Length);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (parameter, tail) = after.split_once('}').ok_or(InvalidName::Braces)?;
            if parameter.is_empty() || [before, parameter].iter().any(|part| part.contains(['{', '}'])) {
                return Err(InvalidName::Braces);
            }
            parts.extend([Part::Text(before.to_owned()), Part::Parameter(parameter.to_owned())]);
            rest = tail;
        }
        if rest.contains('}') {
            return Err(InvalidName::Braces);
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(NameTemplate { text: text.to_owned(), parts })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Parameter(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// `None`: a parameter has no value.
    pub(super) fn fill(&self, value: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut parts = self.parts.iter();
        parts.try_fold(String::new(), |mut filled, part| {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Parameter(name) => filled.push_str(&value(name)?),
            }
            Some(filled)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_filled_in() {
        let template = NameTemplate::parse("conan/{name}/{version}x").unwrap();
        assert_eq!(template.parameters().collect::<Vec<_>>(), ["name", "version"]);
        assert_eq!(template.fill(|name| Some(name.to_uppercase())).as_deref(), Some("conan/NAME/VERSIONx"));
        assert_eq!(template.fill(|_| None), None);
    }

    #[test]
    fn bad_templates() {
        for (text, why) in [
            ("", InvalidName::Length),
            ("a\nb", InvalidName::Length),
            ("a/{", InvalidName::Braces),
            ("a/}", InvalidName::Braces),
            ("a/{}", InvalidName::Braces),
            ("a/{b{c}", InvalidName::Braces),
            ("a}{b}", InvalidName::Braces),
        ] {
            assert_eq!(NameTemplate::parse(text), Err(why), "{text}");
        }
    }
}

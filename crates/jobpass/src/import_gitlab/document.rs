//! A file that was saved from GitLab: read whole and within bounds, and refused with the place of the fault.

use super::Failure;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The most bytes of one file or one answer.
pub(super) const MAX_BYTES: u64 = 8 << 20;

/// A text and what it is called in messages: the path of a file, or the URL that it came from.
#[derive(Debug)]
pub(super) struct Document {
    pub name: String,
    pub text: String,
}

impl Document {
    pub(super) fn open(path: &Path) -> Result<Document, Failure> {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|source| Failure::File { name: name.clone(), source })?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Failure::TooLarge(name));
        }
        Document::new(name, bytes)
    }

    pub(super) fn new(name: String, bytes: Vec<u8>) -> Result<Document, Failure> {
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Document { name, text }),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let before = String::from_utf8(error.into_bytes().into_iter().take(good).collect()).unwrap_or_default();
                let document = Document { name, text: before };
                Err(document.fault(document.text.len(), "not UTF-8"))
            }
        }
    }

    /// A byte order mark, as some editors leave it, is passed over.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let text = self.text.strip_prefix('\u{feff}').unwrap_or(&self.text);
        serde_json::from_str(text).map_err(|error| {
            let told = error.to_string();
            // The place is told once, in front.
            let told = told.rsplit_once(" at line ").map_or(told.as_str(), |(told, _)| told);
            self.fault_at(error.line(), error.column(), told)
        })
    }

    /// What is wrong, at this byte; the column counts characters.
    pub(super) fn fault(&self, offset: usize, told: impl Into<String>) -> Failure {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        self.fault_at(line, column, told)
    }

    fn fault_at(&self, line: usize, column: usize, told: impl Into<String>) -> Failure {
        Failure::Malformed { name: self.name.clone(), line, column, told: told.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_a_place() {
        let failed = Document::new("f".into(), b"ab\ncd\xff".to_vec()).unwrap_err();
        assert_eq!(failed.to_string(), "f:2:3: not UTF-8");
        let document = Document::new("f".into(), b"{\n  \"a\": tru".to_vec()).unwrap();
        let failed = document.json::<serde_json::Value>().unwrap_err();
        assert!(failed.to_string().starts_with("f:2:"), "{failed}");
        assert_eq!(failed.to_string().matches("line").count(), 0, "{failed}");
    }
}

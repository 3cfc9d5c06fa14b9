//! The CSV of a project's authorization log: which source projects came in, and when last. GitLab gives it in
//! its pages only; it names no permissions.

use super::Failure;
use super::document::Document;
use csv::{ReaderBuilder, StringRecord};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const HEADER: [&str; 2] = ["Origin Project Path", "Last Authorized At (UTC)"];
/// GitLab's export ends here, whether or not there is more.
pub(super) const MOST_ROWS: usize = 1000;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub path: String,
    pub last_authorized_at: OffsetDateTime,
}

/// All rows, or the place of the first fault.
pub(super) fn parse(document: &Document) -> Result<Vec<Seen>, Failure> {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(document.text.as_bytes());
    let mut record = StringRecord::new();
    if !next(&mut reader, &mut record, document)? || record.iter().ne(HEADER) {
        return Err(document.fault(0, format!("the first line is not `{}`", HEADER.join(","))));
    }
    let mut seen = Vec::new();
    while next(&mut reader, &mut record, document)? {
        seen.push(row(&Row::of(&record, document))?);
    }
    Ok(seen)
}

fn next(reader: &mut csv::Reader<&[u8]>, record: &mut StringRecord, document: &Document) -> Result<bool, Failure> {
    reader.read_record(record).map_err(|error| {
        let offset = error.position().map_or(0, csv::Position::byte);
        document.fault(usize::try_from(offset).unwrap_or(0), "not CSV")
    })
}

fn row(row: &Row<'_>) -> Result<Seen, Failure> {
    if row.record.len() != HEADER.len() {
        let told = format!("{} columns, not {}: is the file truncated?", row.record.len(), HEADER.len());
        return Err(row.fault(row.record.len().min(HEADER.len() + 1) - 1, told));
    }
    let (path, time) = (row.field(0), row.field(1));
    if path.is_empty() {
        return Err(row.fault(0, "no path"));
    }
    let last_authorized_at = OffsetDateTime::parse(time, &Rfc3339)
        .map_err(|_| row.fault(1, "not a time such as 2026-01-31T10:00:00Z: is the file truncated?"))?;
    Ok(Seen { path: path.to_owned(), last_authorized_at })
}

/// A row, with where it stands.
struct Row<'a> {
    record: &'a StringRecord,
    document: &'a Document,
}

impl<'a> Row<'a> {
    fn of(record: &'a StringRecord, document: &'a Document) -> Row<'a> {
        Row { record, document }
    }

    fn field(&self, index: usize) -> &str {
        self.record.get(index).unwrap_or_default()
    }

    fn fault(&self, field: usize, told: impl Into<String>) -> Failure {
        self.document.fault(self.offset(field), told)
    }

    /// Where a field begins in the file, its quote included. The reader's position stands before empty lines.
    fn offset(&self, field: usize) -> usize {
        let start = self.record.position().map_or(0, csv::Position::byte);
        let start = usize::try_from(start).unwrap_or(0);
        let rest = self.document.text.get(start..).unwrap_or_default();
        let start = start + (rest.len() - rest.trim_start_matches(['\r', '\n', '\u{feff}']).len());
        let rest = self.document.text.get(start..).unwrap_or_default();
        let mut quoted = false;
        let commas = rest.char_indices().filter(|(_, c)| {
            quoted ^= *c == '"';
            *c == ',' && !quoted
        });
        let before = field.checked_sub(1).and_then(|nth| commas.map(|(at, _)| at + 1).nth(nth));
        start + before.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn read(text: &str) -> Result<Vec<Seen>, String> {
        let document = Document::new("log.csv".into(), text.as_bytes().to_vec()).unwrap();
        parse(&document).map_err(|failure| failure.to_string())
    }

    fn seen(path: &str) -> Seen {
        Seen { path: path.into(), last_authorized_at: datetime!(2026-01-31 10:00 UTC) }
    }

    #[test]
    fn what_gitlab_writes() {
        for text in [
            "Origin Project Path,Last Authorized At (UTC)\nacme/web,2026-01-31T10:00:00Z\nacme/ci,2026-01-31T10:00:00Z\n",
            "\u{feff}Origin Project Path,Last Authorized At (UTC)\r\n\"acme/web\",2026-01-31T10:00:00Z\r\nacme/ci,2026-01-31T10:00:00Z",
        ] {
            assert_eq!(read(text), Ok(vec![seen("acme/web"), seen("acme/ci")]));
        }
        assert_eq!(read("Origin Project Path,Last Authorized At (UTC)\n"), Ok(vec![]));
    }

    #[test]
    fn a_file_is_refused_as_a_whole_with_the_place() {
        for (rows, place) in [
            ("acme/web,2026-01-31T10:00:00Z\nacme/c", "3:1"),
            ("acme/web,2026-01-31T10:00:00Z\nacme/ci,", "3:9"),
            ("acme/web,2026-01-31T10:00:0", "2:10"),
            ("\n\nacme/web,2026-01-31T10:00:00", "4:10"),
            ("\"acme/web\",yesterday\n", "2:12"),
            ("\"acme/web,2026-01-31T10:00:00Z\n", "2:1"),
            ("acme/web,2026-01-31T10:00:00Z,x\n", "2:31"),
            (",2026-01-31T10:00:00Z\n", "2:1"),
            ("acme/é,x\n", "2:8"),
        ] {
            let told = read(&format!("Origin Project Path,Last Authorized At (UTC)\n{rows}")).unwrap_err();
            assert!(told.starts_with(&format!("log.csv:{place}: ")), "{rows:?}: {told}");
        }
        for text in ["", "Origin Project Pa", "acme/web,2026-01-31T10:00:00Z\n", "path,time\n"] {
            assert!(read(text).unwrap_err().starts_with("log.csv:1:1: "), "{text:?}");
        }
    }
}

//! Reading an event stream, as the HTML Living Standard has it (section 9.2.6).

/// Far above what Jobpass sends in one event.
const MAX_EVENT: usize = 1 << 20;

/// One event; its id is the last one that was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
    pub(crate) id: String,
}

/// An event that would not end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// What was read of a stream and is no event yet.
#[derive(Debug, Default)]
pub(crate) struct EventStream {
    line: Vec<u8>,
    /// A line feed that follows belongs to the carriage return before it.
    after_return: bool,
    begun: bool,
    event: Event,
}

impl EventStream {
    /// The events that these bytes complete.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for byte in bytes {
            let second_half = self.after_return && *byte == b'\n';
            self.after_return = *byte == b'\r';
            match byte {
                b'\n' if second_half => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                byte => self.line.push(*byte),
            }
            if self.line.len() + self.event.data.len() > MAX_EVENT {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Event> {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let line = if self.begun { &*line } else { line.strip_prefix('\u{feff}').unwrap_or(&line) };
        self.begun = true;
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => self.event.data.extend([value, "\n"]),
            "id" if !value.contains('\0') => value.clone_into(&mut self.event.id),
            // Comments, and what is not known.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let next = Event { id: self.event.id.clone(), ..Event::default() };
        let mut event = std::mem::replace(&mut self.event, next);
        // The last line feed; without any there were no data, and there is no event.
        event.data.pop()?;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, data and id of each event, however the stream is cut.
    fn read(stream: &str) -> Vec<(String, String, String)> {
        let whole = EventStream::default().read(stream.as_bytes()).unwrap();
        let mut cut = EventStream::default();
        let by_byte: Vec<_> = stream.as_bytes().iter().flat_map(|byte| cut.read(&[*byte]).unwrap()).collect();
        assert_eq!(whole, by_byte, "{stream:?}");
        whole.into_iter().map(|event| (event.name, event.data, event.id)).collect()
    }

    fn event(name: &str, data: &str, id: &str) -> (String, String, String) {
        (name.to_owned(), data.to_owned(), id.to_owned())
    }

    #[test]
    fn html_9_2_6_examples() {
        assert_eq!(read("data: YHOO\ndata: +2\ndata: 10\n\n"), [event("", "YHOO\n+2\n10", "")]);
        let four = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        assert_eq!(
            read(four),
            [event("", "first event", "1"), event("", "second event", ""), event("", " third event", "")]
        );
        assert_eq!(read("data\n\ndata\ndata\n\ndata:"), [event("", "", ""), event("", "\n", "")]);
        assert_eq!(read("data:test\n\ndata: test\n\n"), [event("", "test", ""), event("", "test", "")]);
    }

    #[test]
    fn html_9_2_6_lines_end_in_three_ways() {
        let expected = [event("a", "1", "7"), event("", "2", "7")];
        for end in ["\n", "\r", "\r\n"] {
            let lines = ["event: a", "id: 7", "data: 1", "", "data: 2", "", ""];
            assert_eq!(read(&lines.join(end)), expected, "{end:?}");
        }
    }

    #[test]
    fn html_9_2_6_what_is_no_event() {
        assert_eq!(read("\u{feff}data: 1\n\n"), [event("", "1", "")], "a byte order mark is skipped");
        assert_eq!(
            read("id: 1\nevent: a\n\nid: 2\0\ndata: 1\n\n"),
            [event("", "1", "1")],
            "without data there is none"
        );
        assert_eq!(read("colour: red\n: beat\ndata: 1\n"), [], "it has not ended");
    }

    #[test]
    fn what_does_not_end_is_given_up() {
        let mut stream = EventStream::default();
        assert_eq!(stream.read(&vec![b'x'; MAX_EVENT + 1]), Err(TooLong));
        let mut stream = EventStream::default();
        let line = format!("data: {}\n", "x".repeat(1_000));
        assert!((0..=1_100).any(|_| stream.read(line.as_bytes()) == Err(TooLong)));
    }
}

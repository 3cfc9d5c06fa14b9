//! A reader of the feed of invalidations, as the HTML standard has it.

use super::Server;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Far above what a busy machine may take, and far below what a test that hangs would.
const PATIENCE: Duration = Duration::from_secs(20);

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

impl Event {
    /// The number in front of its id.
    pub(crate) fn number(&self) -> i64 {
        self.id.as_deref().unwrap().split_once('-').unwrap().0.parse().unwrap()
    }

    pub(crate) fn tags(&self) -> Vec<&str> {
        let tags = self.data["tags"].as_array();
        tags.into_iter().flatten().map(|tag| tag.as_str().unwrap()).collect()
    }
}

pub(crate) struct Stream {
    response: reqwest::Response,
    read: String,
}

impl Stream {
    /// With its first event. A server that has just started does not follow yet, and says so.
    pub(crate) async fn open(server: &Server, client: &(String, String), headers: &[(&str, &str)]) -> (Stream, Event) {
        Stream::open_at(server, client, "/v1/invalidations", headers).await
    }

    pub(crate) async fn open_at(
        server: &Server,
        client: &(String, String),
        path: &str,
        headers: &[(&str, &str)],
    ) -> (Stream, Event) {
        let begun = Instant::now();
        let mut response = request(server, client, path, headers).await;
        while response.status() == 503 && begun.elapsed() < PATIENCE {
            response = request(server, client, path, headers).await;
        }
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        let mut stream = Stream { response, read: String::new() };
        let opened = stream.next().await.unwrap();
        assert_eq!(opened.name, "opened");
        (stream, opened)
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next event; `None` once the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.read.find("\n\n") {
                return Some(parse(&self.read.drain(..end + 2).collect::<String>()));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("not even a beat");
            // A connection that breaks is an end, too.
            let chunk = chunk.ok().flatten()?;
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event that tells something.
    pub(crate) async fn news(&mut self) -> Option<Event> {
        loop {
            match self.next().await {
                Some(event) if event.name == "beat" => {}
                other => return other,
            }
        }
    }

    /// Waits until it is told that one of these is not true any more.
    pub(crate) async fn until_told(&mut self, tags: &[String]) -> Event {
        loop {
            let event = self.news().await.expect("the stream ended");
            if event.tags().iter().any(|told| tags.iter().any(|tag| tag == told)) {
                return event;
            }
        }
    }

    pub(crate) async fn until_over(mut self) {
        while self.next().await.is_some() {}
    }
}

/// Waits until this server has told all that was changed before. That the service was made is a change of it, and ends its streams.
pub(crate) async fn until_followed(server: &Server, client: &(String, String)) {
    let begun = Instant::now();
    loop {
        let (mut stream, _) = Stream::open(server, client, &[]).await;
        while let Some(event) = stream.next().await {
            if event.name == "beat" {
                return;
            }
        }
        assert!(begun.elapsed() < PATIENCE, "its streams end again and again");
    }
}

pub(crate) async fn request(
    server: &Server,
    client: &(String, String),
    path: &str,
    headers: &[(&str, &str)],
) -> reqwest::Response {
    let mut request = server.http.get(format!("{}{path}", server.url)).basic_auth(&client.0, Some(&client.1));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn parse(text: &str) -> Event {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    Event {
        name: field("event").unwrap().to_owned(),
        id: field("id").map(str::to_owned),
        data: serde_json::from_str(field("data").unwrap()).unwrap(),
    }
}

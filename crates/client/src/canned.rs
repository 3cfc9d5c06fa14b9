//! A server for tests that keeps what it was asked and answers what it was told, hanging and breaking off
//! included.

use crate::{Client, ResourceService, Secret};
use jobpass_domain::token::{self, Kind};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) enum Play {
    Answer(u16, String),
    Hang,
    HangUp,
}

pub(crate) struct Canned {
    pub(crate) address: SocketAddr,
    /// Each as it came: head and body.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    /// Plays these in order, one for each request; after the last one it hangs up.
    pub(crate) async fn playing(plays: impl IntoIterator<Item = Play>) -> Canned {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let mut plays: VecDeque<Play> = plays.into_iter().collect();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                seen.lock().unwrap().push(request);
                tokio::spawn(play(stream, plays.pop_front().unwrap_or(Play::HangUp)));
            }
        });
        Canned { address, requests }
    }

    pub(crate) fn client(&self) -> Client {
        client(self.address)
    }

    pub(crate) fn service(&self) -> ResourceService {
        service(&self.client())
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

pub(crate) fn client(address: SocketAddr) -> Client {
    let builder = Client::builder(format!("http://{address}")).timeout(Duration::from_millis(300));
    builder.build().unwrap()
}

pub(crate) fn service(client: &Client) -> ResourceService {
    client.service("0191d2b4000070008000000000000001", secret(Kind::Service)).unwrap()
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

pub(crate) fn secret(kind: Kind) -> Secret {
    token::generate(kind, [7; token::RANDOM])
}

pub(crate) fn ok(body: &Value) -> Play {
    Play::Answer(200, body.to_string())
}

pub(crate) fn problem(status: u16, code: &str) -> Play {
    let body = json!({
        "type": format!("urn:jobpass:problem:{code}"), "code": code, "title": code, "status": status,
        "request_id": "0191d2b4-0000-7000-8000-000000000000",
    });
    Play::Answer(status, body.to_string())
}

async fn play(mut stream: TcpStream, play: Play) {
    match play {
        Play::Answer(status, body) => {
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
        Play::Hang => std::future::pending().await,
        Play::HangUp => {}
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let mut some = [0; 4096];
        let length = stream.read(&mut some).await.unwrap();
        request.extend_from_slice(&some[..length]);
        let text = String::from_utf8_lossy(&request);
        if length == 0 || is_whole(&text) {
            return text.into_owned();
        }
    }
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}

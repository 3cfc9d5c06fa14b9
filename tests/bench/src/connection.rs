//! One kept-alive connection of HTTP/1.1, and whether an answer is the one that was due.

use crate::Failure;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::net::TcpStream;

pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    head: HeaderMap,
    method: http::Method,
    path: String,
}

/// What is asked, all but the body.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Head {
    address: SocketAddr,
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
}

/// Which answer was due; anything else ends the run.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Due {
    pub(crate) status: Vec<u16>,
    /// A part of the body; empty: any.
    pub(crate) text: String,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Connection {
    pub(crate) async fn open(head: &Head) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(head.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut headers = HeaderMap::new();
        headers.insert(http::header::HOST, HeaderValue::from_str(&head.address.to_string())?);
        for (name, value) in &head.headers {
            headers.insert(HeaderName::try_from(name)?, HeaderValue::from_str(value)?);
        }
        Ok(Connection { sender, head: headers, method: head.method.parse()?, path: head.path.clone() })
    }

    pub(crate) async fn ask(&mut self, body: Bytes) -> Result<Answer, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.parse()?;
        *request.headers_mut() = self.head.clone();
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        Ok(Answer { status, body: answer.into_body().collect().await?.to_bytes() })
    }
}

impl Due {
    pub(crate) fn is_met_by(&self, answer: &Answer) -> bool {
        self.status.contains(&answer.status.as_u16()) && contains(&answer.body, self.text.as_bytes())
    }
}

pub(crate) fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn only_the_answer_that_was_due_counts() {
        let due = Due { status: vec![200], text: "\"active\":true".to_owned() };
        assert!(due.is_met_by(&answer(200, "{\"active\":true}")));
        assert!(!due.is_met_by(&answer(200, "{\"active\":false}")));
        assert!(!due.is_met_by(&answer(503, "{\"active\":true}")));
        assert!(!due.is_met_by(&answer(200, "")));
    }
}

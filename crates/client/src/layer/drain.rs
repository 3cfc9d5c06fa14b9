//! Reads away the body of a request that is refused. A client that is still writing when the connection
//! closes reports a broken pipe instead of the reason.

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body::Body;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

const AT_MOST: usize = 8 << 20;
const NO_LONGER_THAN: Duration = Duration::from_secs(5);

/// Within bounds, so that refused requests do not cost more than answered ones.
pub(super) async fn drain<B: Body>(headers: &HeaderMap, body: B) {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    // Whoever waits for "100 Continue" has sent nothing yet, and will not once it is refused.
    if headers.contains_key(EXPECT) || length.is_some_and(|length: usize| length > AT_MOST) {
        return;
    }
    // Too slow, too long or broken off: then the answer goes out as it is.
    let _ = tokio::time::timeout(NO_LONGER_THAN, read_away(body)).await;
}

async fn read_away<B: Body>(body: B) {
    let mut body = pin!(body);
    let mut seen = 0_usize;
    while let Some(Ok(frame)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        seen += frame.data_ref().map_or(0, bytes::Buf::remaining);
        if seen > AT_MOST {
            return;
        }
    }
}

//! What `make bench-instructions` counts, and nobody outside this crate can reach.

use crate::cache::{Freshness, Kept, Shelf, Weight};
use bytes::Bytes;
use jobpass_domain::ground::Ground;
use jobpass_domain::ids::{GroupId, JobId, JobTokenId, PipelineId, ProjectId};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use uuid::Uuid;

const NOW: OffsetDateTime = time::macros::datetime!(2026-11-23 10:00 UTC);
/// As many as an introspection usually has at hand.
const ANSWERS: u64 = 10_000;

struct Answer(Bytes);

impl Weight for Answer {
    fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// Gets an answer that is kept, that may still be given, and that rests on what answers usually do.
pub fn cache_get() -> Box<dyn Fn()> {
    let freshness = Freshness::new(Duration::from_hours(1));
    freshness.heard(Instant::now());
    let shelf = Shelf::new("measured", 64 << 20);
    for number in 0..ANSWERS {
        let answer = Kept::new(Answer(Bytes::from_static(&[b'x'; 1_300])), freshness.ticket(), grounds(number), None);
        shelf.put(key(number), Arc::new(answer), &freshness, NOW);
    }
    let asked = key(ANSWERS / 2);
    Box::new(move || {
        let found = shelf.get(black_box(&asked), &freshness, NOW);
        assert!(black_box(found).is_some(), "the answer is not kept");
    })
}

fn key(number: u64) -> [u8; 32] {
    let mut key = [0; 32];
    let (head, _) = key.split_at_mut(8);
    head.copy_from_slice(&number.to_be_bytes());
    key
}

fn grounds(number: u64) -> [Ground; 7] {
    let id = |kind: u64| Uuid::from_u64_pair(kind, number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    [
        Ground::Token(JobTokenId(id(1))),
        Ground::Job(JobId(id(2))),
        Ground::Pipeline(PipelineId(id(3))),
        Ground::Project(ProjectId(id(4))),
        Ground::Project(ProjectId(id(5))),
        Ground::Group(GroupId(id(6))),
        Ground::Group(GroupId(id(7))),
    ]
}

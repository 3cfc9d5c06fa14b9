//! Whatever is done to keys and whenever: one signs, and what it signed can be verified to its end.

use super::*;
use proptest::prelude::*;
use time::macros::datetime;
use uuid::Uuid;

const START: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);
const PERIOD: Duration = Duration::days(30);
const RS: SigningAlgorithm = SigningAlgorithm::Rs256;

/// Keys of one algorithm, changed as the database would be.
#[derive(Default)]
struct Ring {
    keys: Vec<SigningKey>,
}

impl Ring {
    fn of(&mut self, id: SigningKeyId) -> &mut SigningKey {
        self.keys.iter_mut().find(|key| key.id == id).unwrap()
    }

    fn apply(&mut self, succession: Succession, now: OffsetDateTime) {
        match succession {
            Succession::Waiting => {}
            Succession::Hurried(id) => self.of(id).signs_from = now,
            Succession::Stays(id) => self.of(id).signs_until = None,
            Succession::New { signs_from, ends } => {
                if let Some(id) = ends {
                    self.of(id).signs_until = Some(signs_from);
                }
                let id = SigningKeyId(Uuid::from_u128(self.keys.len() as u128));
                let key = SigningKey {
                    id,
                    kid: id.to_string(),
                    algorithm: RS,
                    published_at: now,
                    signs_from,
                    signs_until: None,
                    revoked_at: None,
                };
                self.keys.push(key);
            }
        }
    }

    fn rotate(&mut self, now: OffsetDateTime) {
        self.apply(rotate(&self.keys, RS, now), now);
    }

    fn revoke(&mut self, at: usize, now: OffsetDateTime) {
        let key = self.keys[at % self.keys.len()].clone();
        if let Some(succession) = revoke(&self.keys, &key, now) {
            self.keys.iter_mut().filter(|one| one.id == key.id).for_each(|one| one.revoked_at = Some(now));
            self.apply(succession, now);
        }
    }

    fn signing(&self, now: OffsetDateTime) -> Vec<&SigningKey> {
        self.keys.iter().filter(|key| key.phase(now) == Phase::Signing).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(i64),
    Rotate,
    Tend,
    Revoke(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1i64..2000).prop_map(Step::Wait),
        Just(Step::Rotate),
        Just(Step::Tend),
        (0usize..8).prop_map(Step::Revoke),
    ]
}

proptest! {
    #[test]
    fn one_key_signs_and_is_published_before_and_after(steps in prop::collection::vec(step(), 1..40)) {
        let (mut ring, mut now) = (Ring::default(), START);
        ring.rotate(now);
        // What was signed: when, and by which key.
        let mut signed: Vec<(OffsetDateTime, SigningKeyId)> = Vec::new();
        let mut hurried = false;
        for step in steps {
            match step {
                Step::Wait(minutes) => now += Duration::minutes(minutes),
                Step::Rotate => ring.rotate(now),
                Step::Tend if due(&ring.keys, PERIOD, now).contains(&RS) => ring.rotate(now),
                Step::Tend => {}
                Step::Revoke(at) => {
                    hurried = true;
                    ring.revoke(at, now);
                }
            }
            let signing = ring.signing(now);
            prop_assert_eq!(signing.len(), 1);
            let key = signing[0];
            if !hurried && key.id != ring.keys[0].id {
                prop_assert!(key.published_at + LEAD <= key.signs_from);
            }
            signed.push((now, key.id));
            for (at, by) in &signed {
                let key = ring.keys.iter().find(|key| key.id == *by).unwrap();
                if *at + LONGEST_TOKEN + SKEW > now && key.revoked_at.is_none() {
                    prop_assert!(key.is_published(now));
                }
            }
            prop_assert!(ring.keys.iter().filter(|key| key.is_published(now)).count() <= 4);
        }
    }
}

#[test]
fn a_key_is_due_for_a_successor_a_lead_ahead_of_its_period() {
    let mut ring = Ring::default();
    assert_eq!(due(&ring.keys, PERIOD, START), SigningAlgorithm::ALL);
    ring.rotate(START);
    let soon = START + PERIOD - LEAD;
    assert!(!due(&ring.keys, PERIOD, soon - Duration::SECOND).contains(&RS));
    assert!(due(&ring.keys, PERIOD, soon).contains(&RS));
    ring.rotate(soon);
    assert!(!due(&ring.keys, PERIOD, soon).contains(&RS));
}

#[test]
fn the_phases_of_a_life() {
    let mut ring = Ring::default();
    ring.rotate(START);
    ring.rotate(START);
    let over = START + LEAD;
    let phases = |now| ring.keys.iter().map(|key| key.phase(now)).collect::<Vec<_>>();
    assert_eq!(phases(START), [Phase::Signing, Phase::Published]);
    assert_eq!(phases(over), [Phase::Retiring, Phase::Signing]);
    assert_eq!(phases(over + LONGEST_TOKEN + SKEW - Duration::SECOND), [Phase::Retiring, Phase::Signing]);
    assert_eq!(phases(over + LONGEST_TOKEN + SKEW), [Phase::Retired, Phase::Signing]);
}

#[test]
fn a_second_rotation_waits_for_the_first() {
    let mut ring = Ring::default();
    ring.rotate(START);
    ring.rotate(START);
    ring.rotate(START + LEAD - Duration::SECOND);
    assert_eq!(ring.keys.len(), 2);
}

#[test]
fn a_revoked_key_is_followed_at_once() {
    let mut ring = Ring::default();
    ring.rotate(START);
    ring.revoke(0, START);
    assert_eq!(ring.keys.iter().map(|key| key.phase(START)).collect::<Vec<_>>(), [Phase::Revoked, Phase::Signing]);
    // One that waits is taken before a new one is made.
    ring.rotate(START);
    ring.revoke(1, START);
    assert_eq!(ring.keys.len(), 3);
    assert_eq!(ring.signing(START)[0].id, ring.keys[2].id);
    // And is not missed when it is revoked itself.
    ring.rotate(START);
    ring.revoke(3, START);
    assert_eq!(ring.signing(START + LEAD + LEAD)[0].id, ring.keys[2].id);
    assert_eq!(revoke(&ring.keys, &ring.keys[3].clone(), START), None);
}

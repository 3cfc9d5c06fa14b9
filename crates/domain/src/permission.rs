//! Permissions as bits: four actions on each of up to 64 resource types.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How many resource types fit: 13 shipped ones and what administrators add.
pub const MAX_RESOURCES: u8 = 64;
const WORDS: usize = 4;

/// What may be done to a resource. `admin` is not an action but short for all four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Read,
    Create,
    Update,
    Delete,
}

impl Action {
    pub const ALL: [Action; 4] = [Action::Read, Action::Create, Action::Update, Action::Delete];

    pub const fn name(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        }
    }

    const fn bit(self) -> u64 {
        match self {
            Action::Read => 0b0001,
            Action::Create => 0b0010,
            Action::Update => 0b0100,
            Action::Delete => 0b1000,
        }
    }

    /// By the place of its bit in a word.
    const fn of_bit(place: u8) -> Action {
        match place % 4 {
            0 => Action::Read,
            1 => Action::Create,
            2 => Action::Update,
            _ => Action::Delete,
        }
    }
}

/// The places of the bits that are set, lowest first.
fn bits(mut word: u64) -> impl Iterator<Item = u8> {
    (0..word.count_ones()).map(move |_| {
        let place = word.trailing_zeros();
        word &= word - 1;
        u8::try_from(place).unwrap_or_default()
    })
}

/// The place of a resource type in the catalogue; given once and never to another type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

impl Slot {
    /// `None` from [`MAX_RESOURCES`] on.
    pub const fn new(slot: u8) -> Option<Slot> {
        if slot < MAX_RESOURCES { Some(Slot(slot)) } else { None }
    }

    pub const fn index(self) -> usize {
        self.0 as usize
    }

    const fn word(self) -> usize {
        self.index() / 16
    }

    const fn shift(self) -> u32 {
        (self.0 % 16) as u32 * 4
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({})", self.0)
    }
}

/// One action on one resource type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    pub resource: Slot,
    pub action: Action,
}

/// A set of permissions, 256 bits. The empty set allows nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PermissionSet([u64; WORDS]);

impl PermissionSet {
    pub const EMPTY: PermissionSet = PermissionSet([0; WORDS]);
    /// Everything, resource types that do not exist yet included: the neutral element of `intersect`.
    pub const ALL: PermissionSet = PermissionSet([u64::MAX; WORDS]);
    /// The lowest bit of each slot of a word.
    const FIRST_ACTION: u64 = 0x1111_1111_1111_1111;

    pub const fn of(resource: Slot, actions: &[Action]) -> PermissionSet {
        let mut set = PermissionSet::EMPTY;
        let mut rest = actions;
        while let [action, tail @ ..] = rest {
            set = set.with(Permission { resource, action: *action });
            rest = tail;
        }
        set
    }

    /// All four actions on one resource type.
    pub const fn admin(resource: Slot) -> PermissionSet {
        PermissionSet::of(resource, &Action::ALL)
    }

    /// One action on every resource type, those to come included (`*:read`).
    pub const fn any_resource(action: Action) -> PermissionSet {
        PermissionSet([PermissionSet::FIRST_ACTION * action.bit(); WORDS])
    }

    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a slot is below 64, so its word is below 4")]
    pub const fn with(mut self, permission: Permission) -> PermissionSet {
        self.0[permission.resource.word()] |= permission.action.bit() << permission.resource.shift();
        self
    }

    #[expect(clippy::indexing_slicing, reason = "a slot is below 64, so its word is below 4")]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0[permission.resource.word()] & (permission.action.bit() << permission.resource.shift()) != 0
    }

    #[must_use]
    pub fn union(self, other: PermissionSet) -> PermissionSet {
        self.zip(other, |a, b| a | b)
    }

    #[must_use]
    pub fn intersect(self, other: PermissionSet) -> PermissionSet {
        self.zip(other, |a, b| a & b)
    }

    #[must_use]
    pub fn minus(self, other: PermissionSet) -> PermissionSet {
        self.zip(other, |a, b| a & !b)
    }

    /// Whether everything in `other` is in here too.
    pub fn implies(self, other: PermissionSet) -> bool {
        other.minus(self).is_empty()
    }

    pub const fn is_empty(self) -> bool {
        matches!(self.0, [0, 0, 0, 0])
    }

    /// The permissions in catalogue order: by resource type, then read, create, update, delete.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        self.words().flat_map(|(first, word)| {
            bits(word).map(move |bit| Permission { resource: Slot(first + bit / 4), action: Action::of_bit(bit) })
        })
    }

    /// The resource types of which at least one action is in here.
    pub fn resources(self) -> impl Iterator<Item = Slot> {
        self.words().flat_map(|(first, word)| {
            let any_action = (word | word >> 1 | word >> 2 | word >> 3) & PermissionSet::FIRST_ACTION;
            bits(any_action).map(move |bit| Slot(first + bit / 4))
        })
    }

    /// Each word, and the first slot in it.
    fn words(self) -> impl Iterator<Item = (u8, u64)> {
        (0..MAX_RESOURCES).step_by(16).zip(self.0)
    }

    fn zip(self, other: PermissionSet, op: fn(u64, u64) -> u64) -> PermissionSet {
        let PermissionSet([a0, a1, a2, a3]) = self;
        let PermissionSet([b0, b1, b2, b3]) = other;
        PermissionSet([op(a0, b0), op(a1, b1), op(a2, b2), op(a3, b3)])
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> PermissionSet {
        permissions.into_iter().fold(PermissionSet::EMPTY, PermissionSet::with)
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_set() -> impl Strategy<Value = PermissionSet> {
        any::<[u64; WORDS]>().prop_map(PermissionSet)
    }

    proptest! {
        #[test]
        fn sets_are_sets(a in any_set(), b in any_set()) {
            prop_assert!(a.union(b).implies(a));
            prop_assert!(a.implies(a.intersect(b)));
            prop_assert!(a.minus(b).intersect(b).is_empty());
            prop_assert_eq!(a.minus(b).union(a.intersect(b)), a);
            prop_assert_eq!(a.iter().collect::<PermissionSet>(), a);
            prop_assert!(PermissionSet::ALL.implies(a));
        }
    }

    #[test]
    fn one_action_everywhere() {
        let reads = PermissionSet::any_resource(Action::Read);
        assert_eq!(reads.iter().count(), 64);
        assert!(reads.iter().all(|permission| permission.action == Action::Read));
    }

    #[test]
    fn slots_end_at_64() {
        assert!(Slot::new(63).is_some());
        assert!(Slot::new(64).is_none());
    }
}

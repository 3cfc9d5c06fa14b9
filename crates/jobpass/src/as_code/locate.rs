//! Where in a YAML text a JSON pointer points: the tree of its nodes, each with its line and column.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use std::fmt;

/// A node without its values.
#[derive(Debug)]
pub(super) enum Node {
    Scalar,
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

/// Line and column, from 1, of what a pointer (RFC 6901) points to; of the deepest node on its way that is there.
pub(super) fn locate(root: &Spanned<Node>, pointer: &str) -> (u64, u64) {
    let mut here = root;
    let mut at = root.referenced;
    for segment in pointer.split('/').skip(1) {
        let Some((place, next)) = step(&here.value, &unescape(segment)) else { break };
        (at, here) = (place, next);
    }
    (at.line(), at.column())
}

/// Where a child begins; of a member of a mapping whose value is none of its own lines, its key.
fn step<'a>(node: &'a Node, segment: &str) -> Option<(Location, &'a Spanned<Node>)> {
    match node {
        Node::Scalar => None,
        Node::List(items) => items.get(segment.parse::<usize>().ok()?).map(|item| (item.referenced, item)),
        Node::Map(members) => {
            let (key, value) = members.iter().find(|(key, _)| key.value == segment)?;
            let at = if matches!(value.value, Node::Scalar) { value.referenced } else { key.referenced };
            Some((at, value))
        }
    }
}

/// RFC 6901, section 4.
fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

macro_rules! scalars {
    ($($visit:ident: $type:ty,)+) => {$(
        fn $visit<E>(self, _: $type) -> Result<Node, E> {
            Ok(Node::Scalar)
        }
    )+};
}

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    scalars! { visit_bool: bool, visit_i64: i64, visit_i128: i128, visit_u64: u64, visit_u128: u128, visit_f64: f64, visit_str: &str, }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Node::Map(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_have_places() {
        let yaml = "version: 1\nprojects:\n  acme/lib:\n    mode: audit\n    grants:\n      - source: {group: a, except: [b, 1e3]}\n        \
                    permissions:\n          - jobs:read\n";
        let root: Spanned<Node> = serde_saphyr::from_str(yaml).unwrap();
        for (pointer, at) in [
            ("", (1, 1)),
            ("/version", (1, 10)),
            ("/projects/acme~1lib", (3, 3)),
            ("/projects/acme~1lib/mode", (4, 11)),
            ("/projects/acme~1lib/grants/0", (6, 9)),
            ("/projects/acme~1lib/grants/0/source/except/1", (6, 40)),
            ("/projects/acme~1lib/grants/0/permissions/0", (8, 13)),
            ("/projects/acme~1lib/grants/0/expires_at", (6, 9)),
            ("/projects/acme~1lib/grants/7", (5, 5)),
            ("/projects/none", (2, 1)),
        ] {
            assert_eq!(locate(&root, pointer), at, "{pointer}");
        }
    }
}

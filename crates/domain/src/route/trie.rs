//! The forms of a table's routes by their pieces, so that a match looks at what can match only: literals
//! before parameters before globs, from left to right; a shorter glob before a longer one.

use super::path::Segment;
use super::pattern::Piece;
use std::collections::BTreeMap;

/// Where a form ends: which route it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) route: usize,
    pub(super) form: Vec<Piece>,
    /// The query that must stand there; `None`: any, and it is not read.
    pub(super) query: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    literals: BTreeMap<String, Node>,
    /// By what the segment ends with, longest first; plain ones end with nothing.
    parameters: Vec<(String, Node)>,
    globs: Vec<(String, Node)>,
    /// Those that want a query first.
    leaves: Vec<Leaf>,
}

impl Node {
    /// The route that has the same shape already, if one does.
    pub(super) fn insert(&mut self, leaf: Leaf) -> Result<(), usize> {
        let node = leaf.form.iter().fold(self, |node, piece| node.child(piece));
        if let Some(other) = node.leaves.iter().find(|other| other.query == leaf.query) {
            return Err(other.route);
        }
        node.leaves.push(leaf);
        node.leaves.sort_by_key(|leaf| leaf.query.is_none());
        Ok(())
    }

    fn child(&mut self, piece: &Piece) -> &mut Node {
        match piece {
            Piece::Literal(text) => self.literals.entry(text.clone()).or_default(),
            Piece::Parameter { suffix, .. } => by_suffix(&mut self.parameters, suffix),
            Piece::Glob { suffix, .. } => by_suffix(&mut self.globs, suffix),
        }
    }
}

#[expect(clippy::indexing_slicing, reason = "the place was found or made in the line before")]
fn by_suffix<'n>(children: &'n mut Vec<(String, Node)>, suffix: &str) -> &'n mut Node {
    let place = children.iter().position(|(known, _)| known == suffix).unwrap_or_else(|| {
        let place = children.partition_point(|(known, _)| known.len() >= suffix.len());
        children.insert(place, (suffix.to_owned(), Node::default()));
        place
    });
    &mut children[place].1
}

/// A walk along a path. `accept` has the last word on a leaf, with the end of each of its pieces.
pub(super) struct Walk<'p, A> {
    pub(super) segments: &'p [Segment],
    pub(super) accept: A,
}

impl<A: Fn(&Leaf, &[usize]) -> bool> Walk<'_, A> {
    /// The first leaf in order of precedence, and where each of its pieces ends in the path.
    pub(super) fn find<'n>(&self, root: &'n Node) -> Option<(&'n Leaf, Vec<usize>)> {
        let mut ends = Vec::new();
        // What stands before the first piece ends at 0; a walk pushes that, too.
        self.below(root, &[0], &mut ends).map(|leaf| (leaf, ends.split_off(1)))
    }

    /// `starts`: where the next piece may start, as what came before may be a glob.
    fn below<'n>(&self, node: &'n Node, starts: &[usize], ends: &mut Vec<usize>) -> Option<&'n Leaf> {
        self.literals(node, starts, ends)
            .or_else(|| self.parameters(node, starts, ends))
            .or_else(|| self.globs(node, starts, ends))
            .or_else(|| self.leaf(node, starts, ends))
    }

    fn literals<'n>(&self, node: &'n Node, starts: &[usize], ends: &mut Vec<usize>) -> Option<&'n Leaf> {
        starts.iter().find_map(|start| {
            let child = node.literals.get(&self.segments.get(*start)?.text)?;
            self.step(child, *start, &[start + 1], ends)
        })
    }

    fn parameters<'n>(&self, node: &'n Node, starts: &[usize], ends: &mut Vec<usize>) -> Option<&'n Leaf> {
        node.parameters.iter().find_map(|(suffix, child)| {
            starts.iter().find_map(|start| {
                self.ends_with(*start, suffix).then_some(())?;
                self.step(child, *start, &[start + 1], ends)
            })
        })
    }

    fn globs<'n>(&self, node: &'n Node, starts: &[usize], ends: &mut Vec<usize>) -> Option<&'n Leaf> {
        node.globs.iter().find_map(|(suffix, child)| {
            starts.iter().find_map(|start| {
                let last = (*start..self.segments.len()).filter(|last| self.ends_with(*last, suffix));
                let after: Vec<_> = last.map(|last| last + 1).collect();
                self.step(child, *start, &after, ends)
            })
        })
    }

    fn leaf<'n>(&self, node: &'n Node, starts: &[usize], ends: &mut Vec<usize>) -> Option<&'n Leaf> {
        starts.contains(&self.segments.len()).then_some(())?;
        ends.push(self.segments.len());
        let found = node.leaves.iter().find(|leaf| (self.accept)(leaf, ends.get(1..).unwrap_or_default()));
        if found.is_none() {
            ends.pop();
        }
        found
    }

    /// On with `child`, what came before it ending at `end`.
    fn step<'n>(&self, child: &'n Node, end: usize, starts: &[usize], ends: &mut Vec<usize>) -> Option<&'n Leaf> {
        if starts.is_empty() {
            return None;
        }
        ends.push(end);
        let found = self.below(child, starts, ends);
        if found.is_none() {
            ends.pop();
        }
        found
    }

    /// Whether the segment is there, and is more than the suffix that it ends with.
    fn ends_with(&self, at: usize, suffix: &str) -> bool {
        self.segments.get(at).is_some_and(|segment| segment.text.len() > suffix.len() && segment.text.ends_with(suffix))
    }
}

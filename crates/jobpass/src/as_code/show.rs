//! A plan for people: the difference of each place in colour, then what would break.

use super::entry::Entry;
use super::plan::{Difference, Fate, Plan, Planned, PlannedTable, TableFate};
use crate::one_line::one_line;
use clap::ValueEnum;
use jobpass_api::{Impact, TurnedUse, UnknownUse};
use similar::{ChangeTag, TextDiff};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How many lines stand around a change.
const AROUND: usize = 3;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    fn is_on(self) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stdout().is_terminal()
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Style {
    Bold,
    Red,
    Green,
    Yellow,
    Dim,
}

/// Collects what is shown.
struct Page {
    text: String,
    colour: bool,
}

pub(super) fn plan(plan: &Plan, color: Color) -> String {
    let mut page = Page { text: String::new(), colour: color.is_on() };
    let mut counts = Counts::default();
    for table in &plan.tables {
        page.table(table, &mut counts);
    }
    for group in &plan.groups {
        page.place(group, &mut counts);
    }
    for project in &plan.projects {
        page.place(project, &mut counts);
    }
    if plan.differs() {
        let Counts { created, changed, kept } = counts;
        page.line(Style::Bold, &format!("{created} to create, {changed} to change, {kept} as in the file"));
    } else {
        page.line(Style::Bold, "no differences");
    }
    page.text
}

#[derive(Default)]
struct Counts {
    created: usize,
    changed: usize,
    kept: usize,
}

impl Page {
    fn line(&mut self, style: Style, text: &str) {
        let code = match style {
            Style::Bold => "1",
            Style::Red => "31",
            Style::Green => "32",
            Style::Yellow => "33",
            Style::Dim => "2",
        };
        let _ = if self.colour {
            writeln!(self.text, "\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            writeln!(self.text, "{text}")
        };
    }

    fn place<C: Entry>(&mut self, planned: &Planned<C>, counts: &mut Counts) {
        let called = C::called(&planned.path);
        match &planned.fate {
            Fate::Keep => counts.kept += 1,
            Fate::Create { yaml } => {
                counts.created += 1;
                self.creation(&called, yaml);
            }
            Fate::Change(difference) => {
                counts.changed += 1;
                self.line(Style::Bold, &format!("{called} changes"));
                self.difference(difference);
                self.impact(&difference.impact);
                self.text.push('\n');
            }
        }
    }

    fn table(&mut self, table: &PlannedTable, counts: &mut Counts) {
        let called = format!("route table {}", one_line(&table.name));
        match &table.fate {
            TableFate::Keep => counts.kept += 1,
            TableFate::Create => {
                counts.created += 1;
                self.creation(&called, &table.yaml);
            }
            TableFate::Change { before, .. } => {
                counts.changed += 1;
                self.line(Style::Bold, &format!("{called} changes"));
                self.lines(before, &table.yaml);
                self.text.push('\n');
            }
        }
    }

    fn creation(&mut self, called: &str, yaml: &str) {
        self.line(Style::Bold, &format!("{called} is created"));
        for line in yaml.lines().filter(|line| *line != "{}") {
            self.line(Style::Green, &format!("  + {}", one_line(line)));
        }
        self.text.push('\n');
    }

    fn difference(&mut self, difference: &Difference) {
        if difference.before == difference.after {
            // Such as `everything`, which covers more resource types than when it was saved.
            let actions = difference.actions.join(", ");
            self.line(Style::Yellow, &format!("  ~ saved anew, in the same words: {actions}"));
        } else {
            self.lines(&difference.before, &difference.after);
        }
    }

    fn lines(&mut self, before: &str, after: &str) {
        let diff = TextDiff::from_lines(before, after);
        for (index, group) in diff.grouped_ops(AROUND).iter().enumerate() {
            if index > 0 {
                self.line(Style::Dim, "    …");
            }
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let line = one_line(change.value().trim_end_matches('\n'));
                match change.tag() {
                    ChangeTag::Equal => self.line(Style::Dim, &format!("    {line}")),
                    ChangeTag::Delete => self.line(Style::Red, &format!("  - {line}")),
                    ChangeTag::Insert => self.line(Style::Green, &format!("  + {line}")),
                }
            }
        }
    }

    fn impact(&mut self, impact: &Impact) {
        let days = impact.window_days;
        if !impact.would_refuse.is_empty() {
            self.line(Style::Red, &format!("  would break, of what was seen in the last {days} days:"));
            self.turned(&impact.would_refuse);
        }
        if !impact.would_allow.is_empty() {
            self.line(Style::Yellow, "  was refused, and would be allowed:");
            self.turned(&impact.would_allow);
        }
        let unknown: Vec<_> = impact.unknown.iter().filter(|unknown| !unknown.could_lose.is_empty()).collect();
        if !unknown.is_empty() {
            self.line(
                Style::Yellow,
                "  unknown, for services did not say what they asked for, or too many refs and names were seen:",
            );
            self.unknown(&unknown);
        }
        if impact.left_out > 0 {
            self.line(Style::Dim, &format!("  and {} more", impact.left_out));
        }
    }

    fn turned(&mut self, turned: &[TurnedUse]) {
        let mut rows = vec![["SOURCE", "PROJECT", "PERMISSION", "COUNT", "LAST SEEN", "REASON"].map(str::to_owned)];
        rows.extend(turned.iter().map(|one| {
            let TurnedUse { source, project, permission, from_fork, count, last_seen_at, reasons, .. } = one.clone();
            let source = if from_fork { format!("{source} (fork)") } else { source };
            [source, shown(project), permission, count.to_string(), time(last_seen_at), reasons.join(" ")]
        }));
        self.columns(&rows);
    }

    fn unknown(&mut self, unknown: &[&UnknownUse]) {
        let mut rows = vec![["SOURCE", "PROJECT", "SERVICE", "COUNT", "LAST SEEN", "COULD LOSE"].map(str::to_owned)];
        rows.extend(unknown.iter().map(|one| {
            let UnknownUse { source, project, service_id, count, last_seen_at, could_lose, .. } = (*one).clone();
            // Without a service it was a permission that was asked for, under circumstances that were not kept apart.
            let service = service_id.unwrap_or_else(|| "-".to_owned());
            [source, shown(project), service, count.to_string(), time(last_seen_at), could_lose.join(" ")]
        }));
        self.columns(&rows);
    }

    fn columns<const N: usize>(&mut self, rows: &[[String; N]]) {
        let mut widths = [0; N];
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{:width$}", one_line(cell)));
            let _ = writeln!(self.text, "    {}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
}

/// One out of sight has no name.
fn shown(project: Option<String>) -> String {
    project.unwrap_or_else(|| "(hidden)".to_owned())
}

fn time(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

//! Whom an ID token is about: the one text that trust outside of Jobpass hangs on.

use crate::job_token::TokenInfo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is: RFC 3986's unreserved characters, and the `/` of refs. A `:` or `*` in a name can then never be taken
/// for one of the subject's own, or of a pattern that it is compared with.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// `project:<id>:ref_type:<type>:ref:<ref>`, then `:environment:<name>` if the job has one. The project is named by its id,
/// which no renaming gives to another. A run from a fork begins with `fork:`, so that nothing that was written for the
/// project's own runs, by equality or by prefix, matches it.
pub fn subject(token: &TokenInfo) -> String {
    let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let fork = if token.from_fork { "fork:" } else { "" };
    let (project, ref_type, ref_name) = (token.project, token.ref_type.name(), encode(&token.ref_name));
    let mut subject = format!("{fork}project:{project}:ref_type:{ref_type}:ref:{ref_name}");
    if let Some(environment) = &token.environment {
        subject.push_str(":environment:");
        subject.push_str(&encode(environment));
    }
    subject
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, JobTokenId, PipelineId, ProjectId, RunnerId};
    use crate::minter::MinterId;
    use crate::pipeline::Trigger;
    use crate::refs::RefType;
    use proptest::prelude::*;
    use time::OffsetDateTime;
    use uuid::Uuid;

    fn info(ref_name: &str, environment: Option<&str>, from_fork: bool) -> TokenInfo {
        let id = Uuid::from_u128(1);
        TokenInfo {
            id: JobTokenId(id),
            project: ProjectId(id),
            project_path: "acme/web".to_owned(),
            pipeline: PipelineId(id),
            pipeline_key: "4711".to_owned(),
            job: JobId(id),
            job_key: "4711/build".to_owned(),
            job_name: "build".to_owned(),
            minter: MinterId::Runner(RunnerId(id)),
            ref_name: ref_name.to_owned(),
            ref_type: RefType::Branch,
            sha: "a".repeat(40),
            protected: false,
            environment: environment.map(str::to_owned),
            trigger: Trigger::Push,
            from_fork,
            fork_source: None,
            actor: None,
            actor_claimed: None,
            cap: None,
            details: None,
            audience: None,
            ancestors: vec![],
            root: JobTokenId(id),
            issued_at: OffsetDateTime::UNIX_EPOCH,
            expires_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn subjects() {
        let project = "project:00000000-0000-0000-0000-000000000001:ref_type:branch:ref";
        for (token, expected) in [
            (info("main", None, false), format!("{project}:main")),
            (info("release/1.2_a~b", None, false), format!("{project}:release/1.2_a~b")),
            (info("main", Some("prod"), false), format!("{project}:main:environment:prod")),
            (info("main:environment:prod", None, false), format!("{project}:main%3Aenvironment%3Aprod")),
            (info("*?%", Some("é x"), false), format!("{project}:%2A%3F%25:environment:%C3%A9%20x")),
            (info("main", None, true), format!("fork:{project}:main")),
        ] {
            assert_eq!(subject(&token), expected);
        }
    }

    proptest! {
        #[test]
        fn two_jobs_that_differ_have_two_subjects(
            a in "[a:%*/-]{1,6}", b in "[a:%*/-]{1,6}", c in prop::option::of("[a:%]{1,4}"), d in prop::option::of("[a:%]{1,4}"),
            e: bool, f: bool,
        ) {
            let subjects = (subject(&info(&a, c.as_deref(), e)), subject(&info(&b, d.as_deref(), f)));
            prop_assert_eq!(subjects.0 == subjects.1, (a, c, e) == (b, d, f));
        }
    }
}

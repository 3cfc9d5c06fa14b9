//! Reading lists: bounded pages, each with the cursor of the next.

use crate::rehearse::since;
use crate::{App, Person, ProjectAccess, Refusal};
use jobpass_domain::audit::AuditEvent;
use jobpass_domain::grant::SavedGrant;
use jobpass_domain::group::Group;
use jobpass_domain::ids::{AuditEventId, GrantId, JobTokenId, ProjectId, RunnerId, ServiceId, UserId};
use jobpass_domain::job_token::TokenInfo;
use jobpass_domain::place::Place;
use jobpass_domain::project::Project;
use jobpass_domain::runner::Runner;
use jobpass_domain::service::Service;
use jobpass_domain::trust_rule::TrustRule;
use jobpass_domain::user::{Member, User, UserToken};
use jobpass_persistence::{audit, grant, group, job_token, member, project, runner, service, trust_rule, user};
use uuid::Uuid;

/// The page asked for; `limit` is already within bounds.
#[derive(Clone, Debug)]
pub struct PageOf {
    pub after: Option<String>,
    pub limit: usize,
}

impl PageOf {
    /// One more than asked tells whether there is a next page.
    pub(crate) fn rows(&self) -> i64 {
        i64::try_from(self.limit + 1).unwrap_or(i64::MAX)
    }

    fn id(&self) -> Result<Option<Uuid>, Refusal> {
        let parse = |text: &String| {
            Uuid::parse_str(text)
                .map_err(|_| Refusal::invalid("?after", "bad_cursor", "is not a cursor that this list gave"))
        };
        self.after.as_ref().map(parse).transpose()
    }

    /// Cuts the surplus row off and answers the cursor of the next page.
    pub(crate) fn cut<T>(&self, mut rows: Vec<T>, cursor: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = if more { rows.last().map(cursor) } else { None };
        (rows, next)
    }
}

pub(crate) type Listed<T> = Result<(Vec<T>, Option<String>), Refusal>;

impl Person {
    /// Whose eyes a list is seen through; `None`: an administrator's, who sees all.
    fn eyes(&self) -> Option<UserId> {
        (!self.user.administrator).then_some(self.user.id)
    }
}

impl App {
    pub async fn list_groups(&self, person: &Person, page: &PageOf) -> Listed<Group> {
        let rows = group::list(self.db.read(), person.eyes(), page.after.as_deref(), page.rows()).await?;
        Ok(page.cut(rows, |group| group.path.to_string()))
    }

    pub async fn list_projects(&self, person: &Person, page: &PageOf) -> Listed<Project> {
        let rows = project::list(self.db.read(), person.eyes(), page.after.as_deref(), page.rows()).await?;
        Ok(page.cut(rows, |project| project.path.to_string()))
    }

    pub async fn list_members(
        &self,
        chain: &[jobpass_domain::ids::GroupId],
        project: Option<ProjectId>,
        page: &PageOf,
    ) -> Listed<Member> {
        let rows = member::list(self.db.read(), chain, project, page.after.as_deref(), page.rows()).await?;
        Ok(page.cut(rows, |member| format!("{}@{}", member.name, member.on)))
    }

    pub async fn list_users(&self, page: &PageOf) -> Listed<User> {
        let rows = user::list(self.db.read(), page.after.as_deref(), page.rows()).await?;
        Ok(page.cut(rows, |user| user.name.to_string()))
    }

    /// The person's own, or for an administrator everyone's.
    pub async fn list_user_tokens(&self, person: &Person, page: &PageOf) -> Listed<UserToken> {
        let rows = user::list_tokens(self.db.read(), person.eyes(), page.id()?, self.now(), page.rows()).await?;
        Ok(page.cut(rows, |token| token.id.to_string()))
    }

    pub async fn list_runners(&self, person: &Person, page: &PageOf) -> Listed<Runner> {
        let rows = runner::list(self.db.read(), person.eyes(), page.id()?, page.rows()).await?;
        Ok(page.cut(rows, |runner| runner.id.to_string()))
    }

    pub async fn list_trust_rules(&self, access: &ProjectAccess, page: &PageOf) -> Listed<TrustRule> {
        let rows = trust_rule::list(self.db.read(), access.project.id, page.id()?, page.rows()).await?;
        Ok(page.cut(rows, |rule| rule.id.to_string()))
    }

    pub async fn list_services(&self, page: &PageOf) -> Listed<Service> {
        let rows = service::list(self.db.read(), page.id()?, page.rows()).await?;
        Ok(page.cut(rows, |service| service.id.to_string()))
    }

    /// `unused_days`: only those that were not needed for so long.
    pub async fn list_grants(&self, place: Place, unused_days: Option<u16>, page: &PageOf) -> Listed<SavedGrant> {
        self.flush_usage().await?;
        let after = page.id()?.map(GrantId);
        let unneeded_since = unused_days.map(|days| since(days, self.now()));
        let rows = grant::list(self.db.read(), place, (after, unneeded_since), page.rows(), &self.catalogue()).await?;
        Ok(page.cut(rows, |saved| saved.grant.id.to_string()))
    }

    /// Live tokens of a project, newest first.
    pub async fn list_job_tokens(&self, project: ProjectId, page: &PageOf) -> Listed<TokenInfo> {
        let after = page.id()?.map(JobTokenId);
        let rows = job_token::list(self.db.read(), project, after, self.now(), page.rows()).await?;
        Ok(page.cut(rows, |token| token.id.to_string()))
    }

    /// Newest first. The instance's are an administrator's to see.
    pub async fn list_audit_events(&self, place: Place, page: &PageOf) -> Listed<AuditEvent> {
        let after = page.id()?.map(AuditEventId);
        let rows = audit::list(self.db.read(), place, after, page.rows()).await?;
        Ok(page.cut(rows, |event| event.id.to_string()))
    }

    pub async fn find_user(&self, key: &str) -> Result<User, Refusal> {
        user::find(self.db.read(), key).await?.ok_or(Refusal::NotFound)
    }

    pub async fn find_service(&self, id: ServiceId) -> Result<Service, Refusal> {
        service::find(self.db.read(), id).await?.ok_or(Refusal::NotFound)
    }

    /// A runner that this person may manage: any for administrators, else those scoped to what the person maintains.
    pub async fn find_runner(&self, person: &Person, id: RunnerId) -> Result<Runner, Refusal> {
        let runner = runner::find(self.db.read(), id).await?.ok_or(Refusal::NotFound)?;
        if !self.maintains(person, runner.scope).await? {
            return Err(Refusal::NotFound);
        }
        Ok(runner)
    }

    /// A grant as people read it: with when it was last needed, up to now.
    pub async fn grant_read(&self, place: Place, id: GrantId) -> Result<SavedGrant, Refusal> {
        self.flush_usage().await?;
        self.find_grant(place, id).await
    }

    pub async fn find_grant(&self, place: Place, id: GrantId) -> Result<SavedGrant, Refusal> {
        grant::find(self.db.read(), place, id, &self.catalogue()).await?.ok_or(Refusal::NotFound)
    }
}

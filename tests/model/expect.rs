//! What must be answered, by rules of the model's own: nothing here calls the server's code.

use super::choice::Choice;
use super::facts::{
    ALL, ANYONE, Body, Ceiling, Credential, ENFORCED, Grant, Group, Here, PERMISSIONS, PUBLIC, Project, ROLES, Service,
    Set, Settings, Source, Token,
};
use super::history::{Ended, Fact, Window};
use std::sync::Arc;

/// What binds all, wherever it lies.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) floor: Fact<usize>,
    pub(super) ceilings: Fact<Vec<Ceiling>>,
}

/// One question to the model: what the rules look at, and which of the possible worlds is tried.
pub(super) struct Model<'a> {
    pub(super) instance: &'a Instance,
    pub(super) window: &'a Window,
    pub(super) choice: &'a mut Choice,
}

impl Model<'_> {
    pub(super) fn seen<T: Clone + PartialEq>(&mut self, fact: &Fact<T>) -> T {
        self.choice.seen(fact, self.window)
    }

    /// The settings of a service that may call; `None`: its credential counts for nothing.
    pub(super) fn caller(&mut self, service: &Service, secret: &Credential) -> Option<Settings> {
        let mut ended = service.gone.of(&service.made, self.window);
        ended |= secret.gone.of(&secret.made, self.window);
        if let Some((project, _)) = &service.gateway {
            ended |= project.gone.of(&project.made, self.window);
        }
        if self.choice.ended(ended) {
            return None;
        }
        Some(self.seen(&service.settings)).filter(|settings| !settings.paused)
    }

    pub(super) fn is_alive(&mut self, token: &Token) -> bool {
        let job = &token.job;
        let (pipeline, runner) = (&job.pipeline, &job.runner);
        let mut ended = Ended::default();
        for (ends, birth) in [
            (&token.revoked, &token.made),
            (&job.over, &job.opened),
            (&job.revoked, &token.minted),
            (&pipeline.finished, &job.opened),
            (&pipeline.revoked, &token.minted),
            (&pipeline.project.revoked, &token.minted),
            (&pipeline.project.gone, &pipeline.project.made),
            (&runner.revoked, &token.minted),
            (&runner.gone, &runner.made),
        ] {
            ended |= ends.of(birth, self.window);
        }
        for ancestor in &token.ancestors {
            ended |= ancestor.revoked.of(&ancestor.made, self.window);
        }
        ended |= self.has_passed((token.expires_at, token.expires_at));
        if let Some(lease) = &job.lease {
            let lapses = self.seen(lease);
            ended |= self.has_passed(lapses);
        }
        !self.choice.ended(ended)
    }

    /// Whether a time that lies between these two is over.
    fn has_passed(&self, (earliest, latest): (time::OffsetDateTime, time::OffsetDateTime)) -> Ended {
        Ended { may: earliest <= self.window.clock.1, must: latest <= self.window.clock.0 }
    }

    pub(super) fn is_meant_for(token: &Token, settings: &Settings) -> bool {
        match &token.audience {
            None => !settings.audience_required,
            Some(list) => settings.audience.is_some_and(|own| list.contains(&own)),
        }
    }

    /// Groups above, the nearest first.
    fn above(&mut self, project: &Project) -> Vec<Arc<Group>> {
        let (nearest, _) = self.seen(&project.lies);
        let mut chain = vec![nearest];
        while let Some(parent) = self.seen(&chain[chain.len() - 1].parent) {
            chain.push(parent);
        }
        chain
    }

    pub(super) fn path(&mut self, project: &Project) -> String {
        let (group, name) = self.seen(&project.lies);
        let (mut path, mut next) = (name, Some(group));
        while let Some(group) = next {
            path = format!("{}/{path}", self.seen(&group.name));
            next = self.seen(&group.parent);
        }
        path
    }

    fn exists(&mut self, project: &Project) -> bool {
        let ended = project.gone.of(&project.made, self.window);
        !self.choice.ended(ended)
    }

    pub(super) fn is_public(&mut self, project: &Project) -> bool {
        self.exists(project) && self.seen(&project.visibility) == PUBLIC
    }

    /// What a live token may do in a project.
    pub(super) fn effective(&mut self, token: &Token, target: &Project) -> Set {
        if !self.exists(target) {
            return 0;
        }
        let above = self.above(target);
        let places: Vec<&Here> = above.iter().map(|group| &group.here).chain([&target.here]).collect();
        let role = self.role(token, &places);
        let source = self.source(token);
        let mut held = if self.seen(&target.visibility) == 0 { 0 } else { ANYONE };
        for place in &places {
            held |= self.granted(place, token, &source, role);
        }
        let mut mode = self.seen(&self.instance.floor);
        for place in &places {
            mode = mode.max(self.seen(&place.mode));
        }
        if mode < ENFORCED {
            held |= role;
        }
        held & token.cap & self.ceilings(&places, token, false) & self.ceilings_of_source(token)
    }

    fn role(&mut self, token: &Token, places: &[&Here]) -> Set {
        let Some(actor) = token.actor else { return 0 };
        places.iter().filter_map(|place| self.seen(&place.members[actor])).map(|role| ROLES[role].1).max().unwrap_or(0)
    }

    /// The ids of the token's project and of the groups above it.
    fn source(&mut self, token: &Token) -> Vec<String> {
        let project = &token.job.pipeline.project;
        let above = self.above(project);
        std::iter::once(project.here.id.clone()).chain(above.iter().map(|group| group.here.id.clone())).collect()
    }

    fn granted(&mut self, place: &Here, token: &Token, source: &[String], role: Set) -> Set {
        let grants = place.grants.lock().unwrap().clone();
        grants.iter().fold(0, |held, grant| held | self.given(grant, token, source, role))
    }

    /// Two states of a grant that give the same are one.
    fn given(&mut self, grant: &Grant, token: &Token, source: &[String], role: Set) -> Set {
        let mut ways = vec![];
        for body in grant.body.candidates(self.window) {
            let gives = body.as_ref().map_or(0, |body| gives(body, token, source, role));
            let expired =
                body.and_then(|body| body.expires_at).map_or(Ended::default(), |at| self.has_passed((at, at)));
            let both = [(!expired.must).then_some(gives), expired.may.then_some(0)];
            for way in both.into_iter().flatten() {
                if !ways.contains(&way) {
                    ways.push(way);
                }
            }
        }
        self.choice.of(ways)
    }

    fn ceilings(&mut self, places: &[&Here], token: &Token, of_source: bool) -> Set {
        places.iter().fold(ALL, |left, place| left & leave(&self.seen(&place.ceilings), token, Some(of_source)))
    }

    fn ceilings_of_source(&mut self, token: &Token) -> Set {
        let project = &token.job.pipeline.project;
        let above = self.above(project);
        let places: Vec<&Here> = above.iter().map(|group| &group.here).chain([&project.here]).collect();
        let of_instance = leave(&self.seen(&self.instance.ceilings), token, None);
        of_instance & self.ceilings(&places, token, true)
    }
}

fn gives(body: &Body, token: &Token, source: &[String], role: Set) -> Set {
    let covers = match &body.source {
        Source::Project(id) => source[0] == *id,
        Source::Group(id, except) => source[1..].contains(id) && !source.iter().any(|one| except.contains(one)),
    };
    if !covers || (body.protected_only && !token.protected) {
        return 0;
    }
    if body.within_role { body.permissions & role } else { body.permissions }
}

/// `side`: `None` for those of the instance, which bind from both.
fn leave(ceilings: &[Ceiling], token: &Token, side: Option<bool>) -> Set {
    let binds = |ceiling: &&Ceiling| {
        side.is_none_or(|of_source| ceiling.of_source == of_source)
            && ceiling.protected.is_none_or(|protected| protected == token.protected)
    };
    ceilings.iter().filter(binds).fold(ALL, |left, ceiling| left & ceiling.at_most)
}

/// What a service is shown.
pub(super) fn shown(settings: &Settings) -> Set {
    let Some(resources) = &settings.resources else { return ALL };
    let is_shown = |text: &&&str| resources.iter().any(|resource| text.starts_with(&format!("{resource}:")));
    super::facts::set(PERMISSIONS.iter().filter(is_shown).copied())
}

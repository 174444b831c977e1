//! Which names an image gets: the Compose file's own on this machine, the deployment's in a registry.

use kernel_compose::Service;
use kernel_core::event::Problem;
use kernel_image::Reference;

use crate::codes;
use crate::failure::problem;
use crate::images::revision::Revision;
use crate::load::Platform;

/// How many digits of a commit name an image.
const COMMIT_DIGITS: usize = 40;

/// Where images are pushed to, and under which tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushSettings {
    /// The registry: `ghcr.io`.
    pub registry: String,
    /// Whose the images are there. `None`: nobody said.
    pub owner: Option<String>,
    /// Tags in place of those that the commit gives.
    pub tags: Vec<String>,
    /// The branch, where the checkout does not tell; CI checks out commits and not branches.
    pub branch: Option<String>,
    /// Speak HTTP without TLS; always so with a registry on this machine.
    pub plain_http: bool,
    /// Where the credentials of registries are kept: `~/.docker/config.json`.
    pub docker_config: Option<std::path::PathBuf>,
}

/// A way of naming, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `image` of the Compose file; without it what docker compose would say.
    Compose,
    /// `registry/owner/platform-kernel/service` with these tags.
    Deployment {
        /// All before the service's name.
        place: String,
        /// The main one first.
        tags: Vec<String>,
    },
}

impl Naming {
    /// The deployment's names: the commit as the tag, and more tags by branch and git tag.
    ///
    /// # Errors
    /// When nobody said whose the images are, or there is no commit to name them by.
    pub fn deployment(push: &PushSettings, revision: &Revision) -> Result<Self, Problem> {
        let Some(owner) = &push.owner else {
            let message = format!("whose images are to be pushed to {}?", push.registry);
            let help = "say it with `--owner NAME`, KERNEL_IMAGE_OWNER or GITHUB_REPOSITORY_OWNER";
            return Err(problem(codes::IMAGE_NO_OWNER, message, help));
        };
        // Names of accounts may have capitals, names of images not.
        let place = format!("{}/{}/platform-kernel", push.registry, owner.to_ascii_lowercase());
        Ok(Self::Deployment { place, tags: tags(push, revision)? })
    }

    /// The names of a service's image, the main one first.
    ///
    /// # Errors
    /// When it can't be named so.
    pub fn names(&self, platform: &Platform, service: &Service) -> Result<Vec<Reference>, Problem> {
        match self {
            Self::Compose => {
                let usual = || platform.project.image_of(&service.name);
                Ok(vec![parse(&service.image.clone().unwrap_or_else(usual))?])
            }
            Self::Deployment { place, tags } => {
                tags.iter().map(|tag| parse(&format!("{place}/{}:{tag}", service.name))).collect()
            }
        }
    }
}

fn parse(text: &str) -> Result<Reference, Problem> {
    text.parse().map_err(|error: kernel_image::ReferenceError| {
        problem(codes::IMAGE_NAME, error.to_string(), "correct `image` in the Compose file, or the flags")
    })
}

/// The tags by the rules of the deployment: the commit always, `latest` on main only, `staging` for a staging tag.
fn tags(push: &PushSettings, revision: &Revision) -> Result<Vec<String>, Problem> {
    if !push.tags.is_empty() {
        return Ok(push.tags.clone());
    }
    let Some(commit) = &revision.commit else {
        let message = "the images have no commit to be named by: this folder is in no git repository";
        return Err(problem(codes::IMAGE_REVISION, message, "name the tags yourself: `--tag NAME`"));
    };
    if revision.changed {
        let message = format!(
            "images named `{}` would not be what that commit is: the working tree has changes",
            &commit[..commit.len().min(12)]
        );
        let help = "commit or stash them, or name the tags yourself: `--tag NAME`";
        return Err(problem(codes::IMAGE_REVISION, message, help));
    }
    let mut tags = vec![commit[..commit.len().min(COMMIT_DIGITS)].to_owned()];
    if push.branch.as_deref().or(revision.branch.as_deref()) == Some("main") {
        tags.push("latest".to_owned());
    }
    let staging =
        |tag: &String| tag == "staging" || tag.starts_with("staging-") || tag.starts_with("staging/");
    if revision.tags.iter().any(staging) {
        tags.push("staging".to_owned());
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(branch: Option<&str>, git_tags: &[&str]) -> Revision {
        Revision {
            commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            changed: false,
            seconds: 0,
            branch: branch.map(str::to_owned),
            tags: git_tags.iter().map(|tag| (*tag).to_owned()).collect(),
            source: None,
        }
    }

    #[test]
    fn the_commit_always_latest_on_main_staging_for_a_staging_tag() {
        let push = PushSettings::default();
        let names = |revision: &Revision| tags(&push, revision).unwrap();
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(names(&revision(Some("feature"), &[])), [commit]);
        assert_eq!(names(&revision(Some("main"), &[])), [commit, "latest"]);
        assert_eq!(names(&revision(None, &["v1", "staging-7"])), [commit, "staging"]);
        assert_eq!(names(&revision(None, &["unstaging"])), [commit]);
        let ci = PushSettings { branch: Some("main".to_owned()), ..PushSettings::default() };
        assert_eq!(tags(&ci, &revision(None, &["staging"])).unwrap(), [commit, "latest", "staging"]);
    }

    #[test]
    fn a_tree_with_changes_is_not_its_commit() {
        let changed = Revision { changed: true, ..revision(Some("main"), &[]) };
        let problem = tags(&PushSettings::default(), &changed).unwrap_err();
        assert_eq!(problem.code, codes::IMAGE_REVISION.0);
        assert!(problem.message.contains("`0123456789ab`"), "{}", problem.message);
        let named = PushSettings { tags: vec!["try".to_owned()], ..PushSettings::default() };
        assert_eq!(tags(&named, &changed).unwrap(), ["try"]);
    }
}

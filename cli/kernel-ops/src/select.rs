//! Which services of a project a command is about.

use std::collections::BTreeSet;

use kernel_compose::Project;
use kernel_core::exit::ExitCode;

use crate::codes;
use crate::failure::{Failure, problem};

/// The services with these names; all for no names.
///
/// # Errors
/// Every name that the project does not have, with what may be meant.
pub fn named(project: &Project, names: &[String]) -> Result<BTreeSet<String>, Failure> {
    if names.is_empty() {
        return Ok(project.services.keys().cloned().collect());
    }
    let problems: Vec<_> = names
        .iter()
        .filter(|name| !project.services.contains_key(*name))
        .map(|name| {
            let known: Vec<&str> = project.services.keys().map(String::as_str).collect();
            let help = match (project.hidden.get(name), closest(name, &known)) {
                (Some(profiles), _) => {
                    format!("it is shown by `--profile {}`", profiles.join("` or `--profile "))
                }
                (None, Some(close)) => format!("did you mean `{close}`?"),
                (None, None) => format!("the services are: {}", known.join(", ")),
            };
            problem(codes::UNKNOWN_SERVICE, format!("the project has no service `{name}`"), help)
        })
        .collect();
    if problems.is_empty() {
        Ok(names.iter().cloned().collect())
    } else {
        Err(Failure::several(ExitCode::Usage, problems))
    }
}

/// The services with these names and all that they depend on.
///
/// # Errors
/// As [`named`].
pub fn with_dependencies(project: &Project, names: &[String]) -> Result<BTreeSet<String>, Failure> {
    let mut found = named(project, names)?;
    let mut open: Vec<String> = found.iter().cloned().collect();
    while let Some(name) = open.pop() {
        let Some(service) = project.services.get(&name) else { continue };
        for needed in service.depends_on.keys().filter(|needed| project.services.contains_key(*needed)) {
            if found.insert(needed.clone()) {
                open.push(needed.clone());
            }
        }
    }
    Ok(found)
}

/// These services and, while `runs` says that they run, those that are started again with one of them: their need for it
/// says `restart: true`.
#[must_use]
pub fn with_followers(
    project: &Project,
    mut services: BTreeSet<String>,
    runs: impl Fn(&str) -> bool,
) -> BTreeSet<String> {
    loop {
        let follower = project.services.values().find(|service| {
            let mut needs = service.depends_on.iter();
            !services.contains(&service.name)
                && runs(&service.name)
                && needs.any(|(needed, how)| how.restart && services.contains(needed))
        });
        match follower {
            Some(service) => services.insert(service.name.clone()),
            None => return services,
        };
    }
}

/// The known word that differs least from `word`, when it is close enough to be meant.
#[must_use]
pub fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let allowed = word.chars().count() / 3 + 1;
    let best = known.iter().map(|candidate| (distance(word, candidate), *candidate)).min()?;
    (best.0 <= allowed).then_some(best.1)
}

/// How many letters have to be added, dropped, replaced, or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for line in 1..=from.len() {
        let mut row = vec![line];
        for column in 1..=to.len() {
            let same = from[line - 1] == to[column - 1];
            let replaced = rows[line - 1][column - 1] + usize::from(!same);
            let mut best = replaced.min(rows[line - 1][column] + 1).min(row[column - 1] + 1);
            let swapped = line > 1
                && column > 1
                && from[line - 1] == to[column - 2]
                && from[line - 2] == to[column - 1];
            if swapped {
                best = best.min(rows[line - 2][column - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn who_follows_a_restart_is_known_by_the_file() {
        let needs = |needed: &str| format!("{{{needed}: {{condition: service_started, restart: true}}}}");
        let text = format!(
            "services:\n  db: {{image: i}}\n  api: {{image: i, depends_on: {}}}\n  \
             web: {{image: i, depends_on: {}}}\n  job: {{image: i, depends_on: [db]}}\n",
            needs("db"),
            needs("api"),
        );
        let project = crate::testing::project(Path::new("/shop"), &text);
        let followers = |name: &str, runs: &[&str]| {
            let one = BTreeSet::from([name.to_owned()]);
            let found = with_followers(&project, one, |name| runs.contains(&name));
            found.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(followers("db", &["api", "web", "job"]), "api db web");
        assert_eq!(followers("db", &["web", "job"]), "db");
        assert_eq!(followers("web", &["api", "db"]), "web");
    }

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let known = ["gateway", "iam", "money", "notify"];
        assert_eq!(closest("gatewya", &known), Some("gateway"));
        assert_eq!(closest("mony", &known), Some("money"));
        assert_eq!(closest("postgres", &known), None);
        assert_eq!(closest("wbe", &["db", "web"]), Some("web"));
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}

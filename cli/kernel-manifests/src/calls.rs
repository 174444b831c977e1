//! Who calls whom: read from the addresses that services are given in their variables.

use std::collections::{BTreeMap, BTreeSet};

use kernel_compose::Project;

/// One service calls another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Who is called.
    pub callee: String,
    /// On which port.
    pub port: u16,
}

/// The calls of every service of a project, by the caller. Each follows from a variable that holds the address of another
/// service of the project, such as `http://money:8080`; `depends_on` says only who starts first.
#[must_use]
pub fn calls(project: &Project) -> BTreeMap<String, BTreeSet<Call>> {
    project
        .services
        .values()
        .map(|service| {
            let calls = service.environment.iter().flat_map(|variable| {
                addresses(variable.value.expose()).filter_map(|(host, port)| {
                    let known = host != service.name && project.services.contains_key(host);
                    known.then(|| Call { callee: host.to_owned(), port })
                })
            });
            (service.name.clone(), calls.collect())
        })
        .collect()
}

/// Every `//[user[:password]@]host:port` of a text.
pub(crate) fn addresses(text: &str) -> impl Iterator<Item = (&str, u16)> {
    text.match_indices("//").filter_map(move |(start, _)| {
        let authority = text[start + 2..].split(['/', '?', '#', ' ', ',', '"']).next()?;
        let (host, port) = authority.rsplit('@').next()?.rsplit_once(':')?;
        Some((host, port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_with_and_without_a_user() {
        let found = |text| addresses(text).collect::<Vec<_>>();
        assert_eq!(found("http://money:8080"), [("money", 8080)]);
        assert_eq!(
            found("postgres://platform:$(SECRET)@postgres:5432/platform_kernel"),
            [("postgres", 5432)]
        );
        assert_eq!(found("valkey://:$(SECRET)@valkey:6379"), [("valkey", 6379)]);
        assert_eq!(found("HOST://:9092,PLATFORM://kafka:29092"), [("kafka", 29092)]);
        assert_eq!(found("static://development"), []);
    }
}

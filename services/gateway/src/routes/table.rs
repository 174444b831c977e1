//! Finds the route for a verb and a path.

use std::collections::HashMap;

use http::{HeaderValue, Method};
use prost_reflect::DescriptorPool;

use super::{BuildError, Defect, Route, build, percent_decode};

/// All routes, compiled. Looking one up takes no lock and does not depend on how many there are.
#[derive(Default)]
pub struct RouteTable {
    plain: Tier,
    verbs: HashMap<String, Tier>,
    paths: Vec<Path>,
}

/// Paths of whole segments and those that end in `**`: the first win over the second, which `matchit` cannot mix.
#[derive(Default)]
struct Tier {
    exact: matchit::Router<usize>,
    rest: matchit::Router<usize>,
}

struct Path {
    pattern: String,
    verb: Option<String>,
    routes: Vec<Route>,
    allow: HeaderValue,
}

/// What a verb and a path lead to.
pub enum Lookup<'t> {
    /// A route, and the decoded value of each variable of its template.
    Found(&'t Route, Vec<String>),
    /// The path is known, the verb is not: what is allowed, for the `Allow` header.
    WrongMethod(HeaderValue),
    /// The route is known, but a variable holds a broken percent escape.
    Malformed,
    /// No such path.
    Unknown,
}

impl RouteTable {
    /// Compiles the routes of every `platform.<area>.v<n>` package.
    ///
    /// # Errors
    ///
    /// When an annotation is wrong or two bind the same verb and path. All are listed.
    pub fn compile(pool: &DescriptorPool) -> Result<RouteTable, BuildError> {
        let (routes, mut defects) = build::routes(pool);
        let mut table = RouteTable::default();
        for route in routes {
            let place = format!("{} {}", route.method, route.path);
            if let Err(problem) = table.insert(route) {
                defects.push(Defect { place, problem });
            }
        }
        if defects.is_empty() { Ok(table) } else { Err(BuildError { defects }) }
    }

    /// Finds the route. `HEAD` is answered as `GET`.
    pub fn find(&self, method: &Method, path: &str) -> Lookup<'_> {
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        let mut allow = None;
        for (entry, parameters) in self.candidates(path) {
            let Some(route) = entry.routes.iter().find(|route| route.method == *wanted) else {
                allow.get_or_insert(&entry.allow);
                continue;
            };
            let captured = route.template().capture(parameters.iter().map(|(_, value)| value));
            let decoded: Option<Vec<String>> = captured.iter().map(|value| percent_decode(value)).collect();
            return decoded.map_or(Lookup::Malformed, |variables| Lookup::Found(route, variables));
        }
        allow.map_or(Lookup::Unknown, |allow| Lookup::WrongMethod(allow.clone()))
    }

    /// Every route.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.paths.iter().flat_map(|path| &path.routes)
    }

    /// The paths that match, the most specific first.
    fn candidates<'t, 'p>(
        &'t self,
        path: &'p str,
    ) -> impl Iterator<Item = (&'t Path, matchit::Params<'t, 'p>)> {
        let last = path.rfind('/').unwrap_or(0);
        let split = path[last..].rfind(':').map(|colon| (&path[..last + colon], &path[last + colon + 1..]));
        let with_verb = split.and_then(|(before, verb)| Some((self.verbs.get(verb)?, before)));
        let tiers = with_verb.into_iter().chain([(&self.plain, path)]);
        tiers
            .flat_map(|(tier, path)| [tier.exact.at(path), tier.rest.at(path)])
            .flatten()
            .filter_map(|found| Some((self.paths.get(*found.value)?, found.params)))
    }

    fn insert(&mut self, route: Route) -> Result<(), String> {
        let (pattern, verb) = (route.template().pattern(), route.template().verb().map(str::to_owned));
        let known = self.paths.iter_mut().find(|path| path.pattern == pattern && path.verb == verb);
        if let Some(path) = known {
            if let Some(other) = path.routes.iter().find(|other| other.method == route.method) {
                return Err(format!("is bound twice: also as {}", other.path));
            }
            path.routes.push(route);
            path.allow = allow(&path.routes);
            return Ok(());
        }
        let tier = match &verb {
            Some(verb) => self.verbs.entry(verb.clone()).or_default(),
            None => &mut self.plain,
        };
        let router = if pattern.contains("{*") { &mut tier.rest } else { &mut tier.exact };
        router.insert(&pattern, self.paths.len()).map_err(|error| error.to_string())?;
        let routes = vec![route];
        self.paths.push(Path { pattern, verb, allow: allow(&routes), routes });
        Ok(())
    }
}

fn allow(routes: &[Route]) -> HeaderValue {
    let mut methods: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    // Verbs are tokens, which are always header values.
    HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

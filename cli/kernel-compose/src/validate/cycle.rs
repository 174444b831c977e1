//! Services that wait for each other in a circle, told as a chain.

use std::collections::BTreeMap;

use kernel_core::diagnostic::Diagnostic;

use crate::codes;
use crate::project::Project;

/// Tells every circle once.
pub fn check(project: &Project, diagnostics: &mut Vec<Diagnostic>) {
    let mut search = Search { project, state: BTreeMap::new(), path: Vec::new(), diagnostics };
    for name in project.services.keys() {
        search.visit(name);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    OnPath,
    Done,
}

struct Search<'a> {
    project: &'a Project,
    state: BTreeMap<&'a str, State>,
    path: Vec<&'a str>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> Search<'a> {
    /// Walks down without recursion: a project may have thousands of services in a row.
    fn visit(&mut self, start: &'a str) {
        let mut stack = vec![(start, 0)];
        while let Some((name, next)) = stack.pop() {
            if next == 0 {
                if self.state.contains_key(name) {
                    continue;
                }
                self.state.insert(name, State::OnPath);
                self.path.push(name);
            }
            let service = self.project.services.get(name);
            match service.and_then(|service| service.depends_on.keys().nth(next)) {
                None => {
                    self.state.insert(name, State::Done);
                    self.path.pop();
                }
                Some(needed) => {
                    stack.push((name, next + 1));
                    match self.state.get(needed.as_str()) {
                        None if self.project.services.contains_key(needed) => stack.push((needed, 0)),
                        Some(State::OnPath) => self.tell(needed),
                        _ => {}
                    }
                }
            }
        }
    }

    fn tell(&mut self, needed: &str) {
        let start = self.path.iter().position(|name| *name == needed).unwrap_or(0);
        let circle = &self.path[start..];
        let chain = circle.iter().chain([&needed]).copied().collect::<Vec<_>>().join(" → ");
        let mut problem = Diagnostic::error(
            codes::DEPENDENCY_CYCLE,
            format!("services wait for each other in a circle: {chain}"),
        );
        for (index, name) in circle.iter().enumerate() {
            let next = circle.get(index + 1).unwrap_or(&circle[0]);
            let dependency =
                self.project.services.get(*name).and_then(|service| service.depends_on.get(*next));
            if let Some(dependency) = dependency {
                problem = problem.at(dependency.span, format!("`{name}` waits for `{next}`"));
            }
        }
        self.diagnostics.push(problem.help("take one of these dependencies out"));
    }
}

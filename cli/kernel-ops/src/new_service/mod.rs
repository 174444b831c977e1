//! `new service`: a whole, small service from `templates/service/`, and everything that the workspace has to know of
//! it. All of it is worked out and checked before the first file is written.

mod edits;
mod name;
mod transaction;

use std::path::{Path, PathBuf};

use kernel_compose::Project;
use kernel_core::exit::ExitCode;
use minijinja::{Environment, context};
use serde::Serialize;

use self::name::Names;
use self::transaction::Transaction;
use crate::failure::{Failure, problem};
use crate::load::{LoadSettings, Platform, load_text};
use crate::{codes, endpoints};

/// Host ports of services begin here.
const FIRST_PORT: u16 = 8091;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct NewService {
    /// Its name: `price-list`.
    pub name: String,
    /// One sentence: what it is for.
    pub description: String,
}

/// What was, or would be, written.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    /// `kernel.new-service/v1`.
    pub schema: &'static str,
    /// The service.
    pub name: String,
    /// Its port on this machine.
    pub port: u16,
    /// The files that are new, below the workspace.
    pub created: Vec<String>,
    /// The files that got a line or more, below the workspace.
    pub changed: Vec<String>,
}

/// Writes a new service. With `dry_run` nothing is written.
///
/// # Errors
/// When the name can't be one or is taken, a template or file is not as expected, or a file can't be written.
pub fn new_service(
    settings: &LoadSettings,
    platform: &Platform,
    wanted: &NewService,
    dry_run: bool,
) -> Result<Written, Failure> {
    let names = Names::new(&wanted.name).map_err(|rule| {
        let message = format!("`{}` can't be the name of a service", wanted.name);
        Failure::new(ExitCode::Usage, problem(codes::SERVICE_NAME, message, rule))
    })?;
    let root = platform.workspace.root();
    refuse_taken(platform, &names)?;
    let description = sentence(&wanted.description)?;
    let port = free_port(&platform.project);
    let scaffold = Scaffold { root, names: &names, description: &description, port };

    let mut transaction = Transaction::default();
    scaffold.render_crate(&mut transaction)?;
    let proto = root.join(format!("services/svc-api/proto/platform/{0}/v1/{0}.proto", names.area));
    transaction.write(proto, scaffold.render("area.proto.j2")?);
    let created: Vec<PathBuf> = transaction.paths().map(Path::to_path_buf).collect();
    let last = last_service(platform)?;
    scaffold.edit(&mut transaction, &last)?;
    check_compose(settings, platform, &transaction, &names)?;

    let shown = |path: &Path| platform.workspace.shown(path);
    let all: Vec<PathBuf> = transaction.paths().map(Path::to_path_buf).collect();
    let changed = all.iter().filter(|path| !created.contains(path)).map(|path| shown(path)).collect();
    let written = Written {
        schema: "kernel.new-service/v1",
        name: names.name.clone(),
        port,
        created: created.iter().map(|path| shown(path)).collect(),
        changed,
    };
    if !dry_run {
        transaction.commit().map_err(|failed| {
            let message = format!("could not write `{}`: {}", shown(&failed.path), failed.reason);
            let help = "correct that and run the command again; nothing was left behind";
            Failure::new(ExitCode::Failed, problem(codes::SERVICE_NOT_WRITTEN, message, help))
        })?;
    }
    Ok(written)
}

fn refuse_taken(platform: &Platform, names: &Names) -> Result<(), Failure> {
    let root = platform.workspace.root();
    let places = [
        root.join("services").join(&names.name),
        root.join("cli").join(&names.name),
        root.join("services/svc-api/proto/platform").join(&names.area),
    ];
    let taken = places.iter().find(|place| place.exists());
    let in_compose = platform.project.services.contains_key(&names.name)
        || platform.project.hidden.contains_key(&names.name);
    let what = match taken {
        Some(place) => Some(format!("`{}` is there already", platform.workspace.shown(place))),
        None if in_compose => Some(format!("the Compose file has a service `{}` already", names.name)),
        None => route_is_taken(&root.join("services/svc-api/proto"), &names.name)
            .then(|| format!("routes below `/v1/{}` are there already", names.name)),
    };
    what.map_or(Ok(()), |message| {
        let help = "choose another name; nothing was written";
        Err(Failure::new(ExitCode::Usage, problem(codes::SERVICE_EXISTS, message, help)))
    })
}

/// Whether a proto below `folder` has a route that begins with `/v1/<name>`.
fn route_is_taken(folder: &Path, name: &str) -> bool {
    let starts = [format!("\"/v1/{name}\""), format!("\"/v1/{name}/")];
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return route_is_taken(&path, name);
        }
        std::fs::read_to_string(&path).is_ok_and(|text| starts.iter().any(|start| text.contains(start)))
    })
}

/// One line that ends with a full stop and can stand in TOML, Rust and protobuf.
fn sentence(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    if text.is_empty() || text.contains(['"', '\\', '\n', '\r', '|']) {
        let help = "write one sentence without quotes, backslashes and bars";
        let message = format!("`{text}` can't be the description of a service");
        return Err(Failure::new(ExitCode::Usage, problem(codes::SERVICE_NAME, message, help)));
    }
    Ok(if text.ends_with('.') { text.to_owned() } else { format!("{text}.") })
}

/// The first port of this machine that no service publishes.
fn free_port(project: &Project) -> u16 {
    let services = || project.services.values();
    let compose = services().flat_map(|service| &service.ports);
    let local = services().filter_map(|service| service.kernel.as_ref()).flat_map(|kernel| &kernel.ports);
    let taken: Vec<u16> = compose.chain(local).filter_map(|port| port.published).collect();
    (FIRST_PORT..u16::MAX).find(|port| !taken.contains(port)).unwrap_or(FIRST_PORT)
}

/// The service of ours whose entry stands last in the Compose file.
fn last_service(platform: &Platform) -> Result<String, Failure> {
    let ours = platform.project.services.values().filter(|service| endpoints::package(service).is_some());
    let in_main = ours.filter(|service| {
        let source = platform.sources.get(service.span.source);
        source.is_some_and(|source| source.name.ends_with("docker-compose.yml"))
    });
    in_main.max_by_key(|service| service.span.start).map(|service| service.name.clone()).ok_or_else(|| {
        not_as_expected("docker/docker-compose.yml", "a service with `x-kernel: { package: … }`")
    })
}

/// Loads the Compose file as it will be, before anything is written.
fn check_compose(
    settings: &LoadSettings,
    platform: &Platform,
    transaction: &Transaction,
    names: &Names,
) -> Result<(), Failure> {
    let path = platform.workspace.compose_file();
    let text = transaction.text_of(&path).unwrap_or_default();
    let project = load_text(settings, text)?;
    if project.services.get(&names.name).and_then(endpoints::package).is_none() {
        return Err(not_as_expected("docker/docker-compose.yml", "the new entry among its services"));
    }
    Ok(())
}

fn not_as_expected(file: &str, what: &str) -> Failure {
    let message = format!("`{file}` is not as expected: there is not {what}");
    let help = "bring the file back into its usual form, or add the service by hand; nothing was written";
    Failure::new(ExitCode::Failed, problem(codes::SERVICE_NOT_WRITTEN, message, help))
}

struct Scaffold<'a> {
    root: &'a Path,
    names: &'a Names,
    description: &'a str,
    port: u16,
}

impl Scaffold<'_> {
    fn templates(&self) -> PathBuf {
        self.root.join("templates/service")
    }

    fn render_crate(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        let folder = self.templates().join("crate");
        let mut templates = Vec::new();
        files_below(&folder, &mut templates)?;
        templates.sort();
        for template in templates {
            let below =
                template.strip_prefix(self.templates()).unwrap_or(&template).to_string_lossy().into_owned();
            let target = below.trim_start_matches("crate/").trim_end_matches(".j2").to_owned();
            let text = self.render(&below)?;
            transaction.write(self.root.join("services").join(&self.names.name).join(target), text);
        }
        Ok(())
    }

    fn render(&self, template: &str) -> Result<String, Failure> {
        let path = self.templates().join(template);
        let text = std::fs::read_to_string(&path).map_err(|error| Failure::unreadable(&path, &error))?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        let values = context! {
            name => self.names.name.as_str(),
            area => self.names.area.as_str(),
            type => self.names.type_name.as_str(),
            description => self.description,
            port => self.port,
        };
        // minijinja drops the end of the last line, which a file must have.
        environment.render_str(&text, values).map(|text| text.trim_end().to_owned() + "\n").map_err(|error| {
            let message = format!("could not render `templates/service/{template}`: {error}");
            let help = "correct the template; nothing was written";
            Failure::new(ExitCode::Failed, problem(codes::SERVICE_NOT_WRITTEN, message, help))
        })
    }

    /// What the rest of the workspace has to know.
    fn edit(&self, transaction: &mut Transaction, last: &str) -> Result<(), Failure> {
        let entry = self.render("compose.yml.j2")?;
        let needed =
            [("docker/docker-compose.yml", "the entry of the last service and the gateway's neighbours")];
        for (file, what) in needed {
            let path = self.root.join(file);
            let text = std::fs::read_to_string(&path).map_err(|error| Failure::unreadable(&path, &error))?;
            let edited = edits::compose(&text, &entry, last, self.names);
            transaction.write(path, edited.ok_or_else(|| not_as_expected(file, what))?);
        }
        // These are left as they are when they are missing or have another form: nothing then depends on them.
        self.edit_if_there(transaction, "docker/postgres/init.sql", |text| {
            edits::databases(text, self.names)
        });
        self.edit_if_there(transaction, "docs/crate-graph.md", |text| edits::graph(text, self.names));
        self.edit_if_there(transaction, "docs/services.md", |text| {
            edits::services_page(text, last, self.names, self.description, self.port)
        });
        for overlay in self.overlays() {
            self.edit_if_there(transaction, &overlay, |text| edits::overlay(text, last, self.names));
        }
        Ok(())
    }

    fn edit_if_there(
        &self,
        transaction: &mut Transaction,
        file: &str,
        edit: impl FnOnce(&str) -> Option<String>,
    ) {
        let path = self.root.join(file);
        if let Some(edited) = std::fs::read_to_string(&path).ok().and_then(|text| edit(&text)) {
            transaction.write(path, edited);
        }
    }

    fn overlays(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.join("docker")).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut overlays: Vec<String> = names
            .filter(|name| name.starts_with("docker-compose.") && name != "docker-compose.yml")
            .map(|name| format!("docker/{name}"))
            .collect();
        overlays.sort();
        overlays
    }
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in std::fs::read_dir(folder).map_err(|error| Failure::unreadable(folder, &error))? {
        let path = entry.map_err(|error| Failure::unreadable(folder, &error))?.path();
        if path.is_dir() {
            files_below(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

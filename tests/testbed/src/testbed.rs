//! The whole: brings parts up side by side, says what they are, takes them down.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bollard::query_parameters::ListContainersOptions;
use futures::future::join_all;
use tokio::sync::Semaphore;

use crate::cache::Cache;
use crate::container::{self, Once};
use crate::engine::{self, Engine};
use crate::failure::{Failure, because};
use crate::image::{self, Image, Images};
use crate::kubernetes::Cluster;
use crate::part::{PARTS, Part, Passwords};
use crate::pins::Pins;

/// How many images are built at the same time: each may run a compiler or a package manager.
const BUILDS: usize = 3;
/// The program of every image that proves it through the part's own client.
const ROUND_TRIP: &str = "/usr/local/bin/round-trip";

/// The part whose program tests start themselves.
const ENVOY: &str = "envoy";
/// The name of the Docker Engine among the parts.
pub const DOCKER: &str = "docker";
/// The name of the cluster among the parts.
pub const KUBERNETES: &str = "kubernetes";

/// A testbed: where it keeps things, and of which workspace it is.
#[derive(Clone, Debug)]
pub struct Testbed {
    cache: Cache,
    root: PathBuf,
    pins: Pins,
}

/// Which parts are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection(Option<Vec<String>>);

impl Selection {
    /// These parts; all of them when none is named.
    ///
    /// # Errors
    /// When one does not exist; every wrong name is told.
    pub fn of(names: &[String]) -> Result<Self, Failure> {
        let known: Vec<&str> =
            [DOCKER, KUBERNETES].into_iter().chain(PARTS.iter().map(|part| part.name)).collect();
        let wrong: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
        if !wrong.is_empty() {
            let failure = Failure::new(format!("there is no part `{}`", wrong.join("`, `")));
            return Err(failure.help(format!("the parts are {}", known.join(", "))));
        }
        Ok(Self((!names.is_empty()).then(|| names.to_vec())))
    }

    /// Whether a part is meant.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.iter().any(|other| other == name))
    }
}

/// Takes what is to be said of a part.
pub type Say<'a> = &'a (dyn Fn(&str, &str) + Sync);

/// Parts that could not be brought up, with the reason of each.
pub type Failures = Vec<(String, Failure)>;

/// One line of the answer of `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The part.
    pub part: String,
    /// `healthy`, `stopped`, `absent` and so on.
    pub state: String,
    /// What `versions.env` asks for.
    pub pin: String,
    /// What is really inside.
    pub version: String,
    /// Where it answers.
    pub address: String,
}

impl Testbed {
    /// Of the workspace at `root`, kept where the environment says.
    ///
    /// # Errors
    /// When there is no folder for it, or `versions.env` can't be read.
    pub fn new(root: &Path) -> Result<Self, Failure> {
        let root = root.canonicalize().map_err(because(format!("`{}`", root.display())))?;
        Ok(Self { cache: Cache::from_environment()?, pins: Pins::read(&root)?, root })
    }

    /// Brings up what is selected; what runs already and is as it should be is proved again and left alone. A part that
    /// fails does not hold up the others.
    ///
    /// # Errors
    /// Every part that failed.
    pub async fn up(&self, selection: &Selection, say: Say<'_>) -> Result<(), Failures> {
        let (mut failures, cluster) =
            tokio::join!(self.up_containers(selection, say), self.up_cluster(selection, say));
        failures.extend(cluster.err().map(|failure| (KUBERNETES.to_owned(), failure)));
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    async fn up_cluster(&self, selection: &Selection, say: Say<'_>) -> Result<(), Failure> {
        if !selection.has(KUBERNETES) {
            return Ok(());
        }
        let begun = Instant::now();
        Cluster::of(&self.cache)?.up(&self.root, &|what| say(KUBERNETES, what)).await?;
        say(KUBERNETES, &format!("proved by a rollout, after {} s", begun.elapsed().as_secs()));
        Ok(())
    }

    async fn up_containers(&self, selection: &Selection, say: Say<'_>) -> Failures {
        let parts: Vec<&Part> = PARTS.iter().filter(|part| selection.has(part.name)).collect();
        if parts.is_empty() && !selection.has(DOCKER) {
            return Vec::new();
        }
        let engine = match Engine::find_or_start(&self.cache).await {
            Ok(engine) => engine,
            Err(failure) => return vec![(DOCKER.to_owned(), failure)],
        };
        let whose = if engine.is_own(&self.cache) { "our own" } else { "found" };
        say(DOCKER, &format!("Engine {} answers at {} ({whose})", engine.version(), engine.address()));
        if let Err(failure) = engine::tools(&self.cache).await {
            return vec![(DOCKER.to_owned(), failure)];
        }
        let images = self.images(&engine);
        if parts.is_empty() {
            return Vec::new();
        }
        let common = async {
            container::network(&engine).await?;
            let base = images.base().await?;
            Ok((base, Passwords::of(&self.cache).await?))
        };
        let (base, passwords) = match common.await {
            Ok(common) => common,
            Err(failure) => return vec![("base image".to_owned(), failure)],
        };
        let builds = Semaphore::new(BUILDS);
        let work = parts.iter().map(|part| async {
            let begun = Instant::now();
            let result = async {
                let image = {
                    let _turn = builds.acquire().await.map_err(because("waiting for a turn"))?;
                    images.of(part, &base).await?
                };
                say(
                    part.name,
                    &format!("image of version {}, after {} s", image.version, begun.elapsed().as_secs()),
                );
                self.run(&engine, part, &image, &passwords).await
            };
            match result.await {
                Ok(()) => {
                    say(
                        part.name,
                        &format!("proved by its own client, after {} s", begun.elapsed().as_secs()),
                    );
                    None
                }
                Err(failure) => {
                    say(part.name, "failed");
                    Some((part.name.to_owned(), failure))
                }
            }
        });
        join_all(work).await.into_iter().flatten().collect()
    }

    fn images<'a>(&'a self, engine: &'a Engine) -> Images<'a> {
        let folder = self.root.join("tests/testbed/images");
        Images { engine, cache: &self.cache, folder, pins: &self.pins }
    }

    async fn run(
        &self,
        engine: &Engine,
        part: &Part,
        image: &Image,
        passwords: &Passwords,
    ) -> Result<(), Failure> {
        if part.ports.is_empty() {
            return self.prove(engine, part, image, passwords).await;
        }
        container::up(engine, &self.root, part, image, passwords).await?;
        if self.prove(engine, part, image, passwords).await.is_ok() {
            return Ok(());
        }
        // A test may have left it cut off or slow: a new start has a new network.
        container::restart(engine, part).await?;
        self.prove(engine, part, image, passwords).await
    }

    /// A value goes in and comes back through the part's own client, by the address that tests get.
    async fn prove(
        &self,
        engine: &Engine,
        part: &Part,
        image: &Image,
        passwords: &Passwords,
    ) -> Result<(), Failure> {
        let variables =
            (part.variables)(passwords).into_iter().map(|(name, value)| format!("{name}={value}"));
        let program = [ROUND_TRIP];
        let proof = Once::new(&image.name, &program).network("host").environment(variables.collect());
        container::once(engine, &proof).await.map(drop)
    }

    /// Stops and removes everything that runs; images and what was fetched stay.
    ///
    /// # Errors
    /// When something does not end.
    pub async fn down(&self, say: Say<'_>) -> Result<(), Failure> {
        // One that does not end does not keep the others up.
        let cluster = Cluster::of(&self.cache)?.down().await;
        if let Some(engine) = Engine::find(&self.cache).await {
            container::remove_all(&engine).await?;
            say(DOCKER, "containers and networks are removed");
        }
        engine::stop(&self.cache).await?;
        cluster
    }

    /// Takes everything down and removes all that was ever made, images included.
    ///
    /// # Errors
    /// When something can't be removed.
    pub async fn clean(&self, say: Say<'_>) -> Result<(), Failure> {
        if let Some(engine) = Engine::find(&self.cache).await {
            container::remove_all(&engine).await?;
            if !engine.is_own(&self.cache) {
                image::remove_all(&engine).await?;
                say(DOCKER, "images are removed");
            }
        }
        self.down(say).await?;
        let root = self.cache.root().to_owned();
        let attempted = format!("removing `{}`", root.display());
        match tokio::fs::remove_dir_all(&root).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(because(attempted)(error)),
            _ => Ok(()),
        }
    }

    /// What tests need to know of the parts that run: names and values, to be exported.
    ///
    /// # Errors
    /// When the Engine or the passwords can't be read.
    pub async fn environment(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut variables = Vec::new();
        let cluster = Cluster::of(&self.cache)?;
        if cluster.version().await.is_some() {
            variables.push(("KUBECONFIG".to_owned(), cluster.kubeconfig().display().to_string()));
        }
        let Some(engine) = Engine::find(&self.cache).await else { return Ok(variables) };
        variables.push(("DOCKER_HOST".to_owned(), engine.address().to_owned()));
        variables.push(("KERNEL_REGISTRY".to_owned(), image::PREFIX.to_owned()));
        let tools = engine::tools(&self.cache).await?;
        variables.extend(tools.into_iter().map(|(name, path)| (name.to_owned(), path.display().to_string())));
        let passwords = Passwords::of(&self.cache).await?;
        for part in PARTS {
            if self.state(&engine, part).await == "running" {
                let told = (part.variables)(&passwords);
                variables.extend(told.into_iter().map(|(name, value)| (name.to_owned(), value)));
            }
            if part.name == ENVOY
                && self.version(&engine, part).await?.is_some()
                && let Some(fetched) = self.images(&engine).fetch(part).await?
            {
                variables.push(("TEST_ENVOY_BIN".to_owned(), fetched.join("envoy").display().to_string()));
            }
        }
        Ok(variables)
    }

    /// One line for each part: how it is, which version was asked for, which is really there.
    ///
    /// # Errors
    /// When a pin is missing.
    pub async fn status(&self) -> Result<Vec<Line>, Failure> {
        let engine = Engine::find(&self.cache).await;
        let mut lines = vec![match &engine {
            Some(engine) => Line {
                part: DOCKER.to_owned(),
                state: if engine.is_own(&self.cache) { "running" } else { "found" }.to_owned(),
                pin: String::new(),
                version: engine.version().to_owned(),
                address: engine.address().to_owned(),
            },
            None => Line::absent(DOCKER, ""),
        }];
        for part in PARTS {
            let pin = self.pins.get(part.pin)?;
            let mut line = Line::absent(part.name, pin);
            if let Some(engine) = &engine {
                if let Some(version) = self.version(engine, part).await? {
                    line.version = version;
                    line.state = self.state(engine, part).await;
                }
                if line.state == "running" {
                    let ports = part.ports.iter().map(|(_, host)| format!("127.0.0.1:{host}"));
                    line.address = ports.collect::<Vec<_>>().join(" ");
                }
            }
            lines.push(line);
        }
        let cluster = Cluster::of(&self.cache)?;
        let mut line = Line::absent(KUBERNETES, self.pins.get("KUBERNETES_VERSION")?);
        if let Some(version) = cluster.version().await {
            line.state = "running".to_owned();
            line.version = version;
            line.address = cluster.address();
        }
        lines.push(line);
        Ok(lines)
    }

    /// The version that is really in a part's image; `None` when it was not made.
    async fn version(&self, engine: &Engine, part: &Part) -> Result<Option<String>, Failure> {
        let name = format!("{}{}:{}", image::PREFIX, part.repository, self.pins.get(part.pin)?);
        let labels = image::labels(engine, &name).await;
        Ok(labels.and_then(|labels| labels.get(image::VERSION).cloned()))
    }

    async fn state(&self, engine: &Engine, part: &Part) -> String {
        let mut filters = engine.ours();
        filters.entry("label".to_owned()).or_default().push(format!("{}={}", container::PART, part.name));
        let options =
            ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
        let found = engine.client().list_containers(Some(options)).await.unwrap_or_default();
        let state = found.into_iter().next().and_then(|container| container.state);
        state.map_or_else(|| "not running".to_owned(), |state| state.to_string())
    }
}

impl Line {
    fn absent(part: &str, pin: &str) -> Self {
        let nothing = || "-".to_owned();
        Self {
            part: part.to_owned(),
            state: "absent".to_owned(),
            pin: pin.to_owned(),
            version: nothing(),
            address: nothing(),
        }
    }
}

/// The lines as a table.
#[must_use]
pub fn table(lines: &[Line]) -> String {
    let header = ["PART", "STATE", "PIN", "REALLY", "ADDRESS"].map(str::to_owned);
    let cells = lines.iter().map(|line| {
        let line = line.clone();
        [line.part, line.state, line.pin, line.version, line.address]
    });
    let rows: Vec<[String; 5]> = std::iter::once(header).chain(cells).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..4).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(&row[4]);
        text.push('\n');
    }
    text
}

/// Lines that a shell can evaluate: `export NAME='value'`.
#[must_use]
pub fn exports(variables: &[(String, String)]) -> String {
    variables
        .iter()
        .map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_name_is_told_and_none_means_all() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let failure = Selection::of(&names(&["postgres", "mysql", "oracle"])).unwrap_err();
        assert_eq!(failure.message, "there is no part `mysql`, `oracle`");
        assert!(failure.help.unwrap().contains("postgres, valkey"));
        let two = Selection::of(&names(&["postgres", "kafka"])).unwrap();
        assert!(two.has("kafka") && !two.has("valkey"));
        assert!(Selection::of(&[]).unwrap().has("valkey"));
    }

    #[test]
    fn a_shell_reads_back_what_was_exported() {
        let value = "a 'quoted' $HOME \"word\"";
        let script = exports(&[("NAME".to_owned(), value.to_owned())]);
        let shell =
            std::process::Command::new("sh").arg("-c").arg(format!("{script}printf %s \"$NAME\"")).output();
        assert_eq!(String::from_utf8_lossy(&shell.unwrap().stdout), value);
    }

    #[test]
    fn the_table_has_a_column_for_what_is_asked_and_one_for_what_is_there() {
        let line = Line {
            part: "postgres".to_owned(),
            state: "running".to_owned(),
            pin: "17-alpine".to_owned(),
            version: "17.6".to_owned(),
            address: "127.0.0.1:25432".to_owned(),
        };
        let expected = "PART      STATE    PIN        REALLY  ADDRESS\n\
                        postgres  running  17-alpine  17.6    127.0.0.1:25432\n";
        assert_eq!(table(&[line]), expected);
    }
}

//! The table of parts that run in containers: what each is made from, how it runs, where it answers.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;

use crate::cache::Cache;
use crate::failure::{Failure, because};

/// One part. Its image is made from `tests/testbed/images/<name>`.
pub struct Part {
    /// What it is called everywhere.
    pub name: &'static str,
    /// Its pin in `versions.env`.
    pub pin: &'static str,
    /// The repository of its image, as the Compose files have it.
    pub repository: &'static str,
    /// The user that it runs as.
    pub user: &'static str,
    /// Ports inside, and where they are published on 127.0.0.1.
    pub ports: &'static [(u16, u16)],
    /// Folders that keep their content as long as the container is there, restarts included.
    pub data: &'static [&'static str],
    /// Folders in memory, with their mount options. Over a folder of the image some engines go by that folder's mode
    /// when no owner is named.
    pub memory: &'static [(&'static str, &'static str)],
    /// Files of the workspace that it reads.
    pub files: &'static [(&'static str, &'static str)],
    /// What runs in place of the image's entrypoint.
    pub entrypoint: Option<&'static [&'static str]>,
    /// What runs in place of the image's command.
    pub command: Option<&'static [&'static str]>,
    /// Its environment.
    pub environment: fn(&Passwords) -> Vec<(&'static str, String)>,
    /// What tests read to find it: names and values.
    pub variables: fn(&Passwords) -> Vec<(&'static str, String)>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The part of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Part> {
    PARTS.iter().find(|part| part.name == name)
}

const TEMPORARY: (&str, &str) = ("/tmp", "size=64m,mode=1777");

/// Every part that runs in a container. Ports are 20000 above what the platform itself uses.
pub const PARTS: &[Part] = &[
    Part {
        name: "postgres",
        pin: "POSTGRES_VERSION",
        repository: "postgres",
        user: "70:70",
        ports: &[(5432, 25432)],
        data: &["/var/lib/postgresql/data"],
        memory: &[TEMPORARY, ("/var/run/postgresql", "mode=0775,uid=70,gid=70")],
        files: &[],
        entrypoint: None,
        // A crash of the machine loses it; a crash of the server does not.
        command: Some(&[
            "postgres",
            "-c",
            "fsync=off",
            "-c",
            "full_page_writes=off",
            "-c",
            "wal_level=logical",
        ]),
        environment: |passwords| {
            vec![
                ("POSTGRES_USER", "kernel".to_owned()),
                ("POSTGRES_PASSWORD", passwords.get("postgres")),
                ("POSTGRES_DB", "platform_kernel".to_owned()),
            ]
        },
        variables: |passwords| {
            let password = passwords.get("postgres");
            vec![(
                "TEST_POSTGRES_URL",
                format!("postgres://kernel:{password}@127.0.0.1:25432/platform_kernel"),
            )]
        },
    },
    Part {
        name: "valkey",
        pin: "VALKEY_VERSION",
        repository: "valkey/valkey",
        user: "999:1000",
        ports: &[(6379, 26379)],
        data: &["/data"],
        memory: &[TEMPORARY],
        files: &[],
        entrypoint: Some(&[
            "sh",
            "-c",
            "exec valkey-server --appendonly yes --dir /data --maxmemory 200mb --requirepass \"$REDISCLI_AUTH\"",
        ]),
        command: Some(&[]),
        environment: |passwords| vec![("REDISCLI_AUTH", passwords.get("valkey"))],
        variables: |passwords| {
            vec![
                ("TEST_VALKEY_ADDR", "127.0.0.1:26379".to_owned()),
                ("TEST_VALKEY_PASSWORD", passwords.get("valkey")),
            ]
        },
    },
    Part {
        name: "kafka",
        pin: "KAFKA_VERSION",
        repository: "apache/kafka",
        user: "1000:1000",
        ports: &[(9092, 29092)],
        data: &["/var/lib/kafka/data"],
        memory: &[
            TEMPORARY,
            ("/opt/kafka/config", "mode=0755,uid=1000,gid=1000"),
            ("/opt/kafka/logs", "size=64m,mode=0755,uid=1000,gid=1000"),
        ],
        files: &[],
        entrypoint: None,
        command: None,
        environment: |_| {
            let settings = [
                ("KAFKA_NODE_ID", "1"),
                ("KAFKA_PROCESS_ROLES", "broker,controller"),
                ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@127.0.0.1:9093"),
                ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
                // Clients of this machine come by 29092 (9092 inside), containers of the network by 19092.
                ("KAFKA_LISTENERS", "HOST://:9092,INSIDE://:19092,CONTROLLER://127.0.0.1:9093"),
                ("KAFKA_ADVERTISED_LISTENERS", "HOST://127.0.0.1:29092,INSIDE://kernel-testbed-kafka:19092"),
                (
                    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
                    "HOST:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
                ),
                ("KAFKA_INTER_BROKER_LISTENER_NAME", "INSIDE"),
                ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
                ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
                ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
                ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
                ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false"),
                ("KAFKA_LOG_DIRS", "/var/lib/kafka/data"),
                ("KAFKA_HEAP_OPTS", "-Xms256m -Xmx512m"),
            ];
            settings.map(|(name, value)| (name, value.to_owned())).to_vec()
        },
        variables: |_| vec![("TEST_KAFKA_BROKERS", "127.0.0.1:29092".to_owned())],
    },
    Part {
        name: "rabbitmq",
        pin: "RABBITMQ_VERSION",
        repository: "rabbitmq",
        user: "100:101",
        ports: &[(5672, 25672), (15672, 25673)],
        data: &["/var/lib/rabbitmq"],
        memory: &[TEMPORARY, ("/var/log/rabbitmq", "size=16m,mode=0755,uid=100,gid=101")],
        files: &[],
        entrypoint: None,
        command: None,
        environment: |passwords| {
            vec![
                ("RABBITMQ_DEFAULT_USER", "platform".to_owned()),
                ("RABBITMQ_DEFAULT_PASS", passwords.get("rabbitmq")),
            ]
        },
        variables: |passwords| {
            vec![(
                "TEST_RABBITMQ_URL",
                format!("amqp://platform:{}@127.0.0.1:25672", passwords.get("rabbitmq")),
            )]
        },
    },
    Part {
        name: "clickhouse",
        pin: "CLICKHOUSE_VERSION",
        repository: "clickhouse/clickhouse-server",
        user: "101:101",
        ports: &[(8123, 28123), (9000, 29000)],
        data: &["/var/lib/clickhouse"],
        memory: &[
            TEMPORARY,
            ("/etc/clickhouse-server/users.d", "mode=0755,uid=101,gid=101"),
            ("/var/log/clickhouse-server", "size=64m,mode=0755,uid=101,gid=101"),
        ],
        files: &[],
        entrypoint: None,
        command: None,
        environment: |passwords| {
            vec![
                ("CLICKHOUSE_DB", "platform".to_owned()),
                ("CLICKHOUSE_USER", "platform".to_owned()),
                ("CLICKHOUSE_PASSWORD", passwords.get("clickhouse")),
            ]
        },
        variables: |passwords| {
            let password = passwords.get("clickhouse");
            vec![("TEST_CLICKHOUSE_URL", format!("http://platform:{password}@127.0.0.1:28123/platform"))]
        },
    },
    Part {
        name: "seaweedfs",
        pin: "SEAWEEDFS_VERSION",
        repository: "chrislusf/seaweedfs",
        user: "10001:10001",
        ports: &[(8333, 28333), (8888, 28888)],
        data: &["/var/tmp"],
        memory: &[TEMPORARY],
        files: &[],
        entrypoint: Some(&[
            "/bin/sh",
            "-c",
            "umask 077 && printf '%s' \"$S3_CONFIG\" > /tmp/s3.json && mkdir -p /var/tmp/weed && \
             exec weed server -dir=/var/tmp/weed -ip=seaweedfs -ip.bind=0.0.0.0 -master.electionTimeout=1s \
             -volume.max=16 -volume.preStopSeconds=1 -filer -s3 -s3.config=/tmp/s3.json",
        ]),
        command: Some(&[]),
        environment: |passwords| {
            let keys =
                serde_json::json!([{ "accessKey": "platform", "secretKey": passwords.get("seaweedfs") }]);
            let actions = ["Admin", "Read", "Write", "List", "Tagging"];
            let identity = serde_json::json!({ "name": "platform", "credentials": keys, "actions": actions });
            vec![("S3_CONFIG", serde_json::json!({ "identities": [identity] }).to_string())]
        },
        variables: |passwords| {
            vec![(
                "TEST_S3_URL",
                format!("s3://platform:{}@127.0.0.1:28333/platform", passwords.get("seaweedfs")),
            )]
        },
    },
    Part {
        name: "vault",
        pin: "VAULT_VERSION",
        repository: "hashicorp/vault",
        user: "100:1000",
        ports: &[(8200, 28200)],
        data: &[],
        memory: &[
            TEMPORARY,
            ("/home/vault", "mode=0755,uid=100,gid=1000"),
            ("/vault/file", "mode=0755,uid=100,gid=1000"),
            ("/vault/logs", "mode=0755,uid=100,gid=1000"),
        ],
        files: &[],
        entrypoint: None,
        command: Some(&["server", "-dev", "-dev-listen-address=0.0.0.0:8200"]),
        environment: |passwords| {
            vec![
                ("VAULT_DEV_ROOT_TOKEN_ID", passwords.get("vault")),
                ("VAULT_ADDR", "http://127.0.0.1:8200".to_owned()),
                ("SKIP_SETCAP", "true".to_owned()),
                ("SKIP_CHOWN", "true".to_owned()),
            ]
        },
        variables: |passwords| {
            vec![
                ("TEST_VAULT_ADDR", "http://127.0.0.1:28200".to_owned()),
                ("TEST_VAULT_TOKEN", passwords.get("vault")),
            ]
        },
    },
    Part {
        name: "feature-flags",
        pin: "GO_FEATURE_FLAG_VERSION",
        repository: "platform-kernel/feature-flags",
        user: "10001:10001",
        ports: &[(1031, 21031)],
        data: &[],
        memory: &[TEMPORARY],
        files: &[
            ("docker/feature-flags/relay.yaml", "/goff/relay.yaml"),
            ("docker/feature-flags/flags.yaml", "/goff/flags.yaml"),
        ],
        entrypoint: None,
        command: Some(&["--config=/goff/relay.yaml"]),
        environment: |_| Vec::new(),
        variables: |_| vec![("TEST_FLAGS_URL", "http://127.0.0.1:21031".to_owned())],
    },
    // Not kept running: tests start Envoys of their own from its program, Compose files from its image.
    Part {
        name: "envoy",
        pin: "ENVOY_VERSION",
        repository: "envoyproxy/envoy",
        user: "101:101",
        ports: &[],
        data: &[],
        memory: &[],
        files: &[],
        entrypoint: None,
        command: None,
        environment: |_| Vec::new(),
        variables: |_| Vec::new(),
    },
];

/// The parts' passwords, made once per testbed and kept where only its owner can read them.
#[derive(Clone)]
pub struct Passwords(BTreeMap<String, String>);

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords(…)")
    }
}

impl Passwords {
    /// Those of this testbed; those that are missing are made.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub async fn of(cache: &Cache) -> Result<Self, Failure> {
        let path = cache.folder("secrets")?.join("passwords.json");
        let attempted = || format!("`{}`", path.display());
        let _lock = cache.lock("passwords").await?;
        let mut passwords: BTreeMap<String, String> = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(because(attempted()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(because(attempted())(error)),
        };
        let known = passwords.len();
        for part in PARTS {
            passwords.entry(part.name.to_owned()).or_insert_with(|| hex::encode(rand::random::<[u8; 16]>()));
        }
        if passwords.len() != known {
            let partial = path.with_extension("partial");
            let mut options = std::fs::OpenOptions::new();
            let file = options.create(true).truncate(true).write(true).mode(0o600).open(&partial);
            let text = serde_json::to_vec_pretty(&passwords).map_err(because(attempted()))?;
            file.and_then(|mut file| file.write_all(&text)).map_err(because(attempted()))?;
            std::fs::rename(&partial, &path).map_err(because(attempted()))?;
        }
        Ok(Self(passwords))
    }

    /// The password of a part.
    #[must_use]
    pub fn get(&self, part: &str) -> String {
        self.0.get(part).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn names_ports_and_variables_are_nobody_elses() {
        let passwords = Passwords(BTreeMap::new());
        let names: BTreeSet<&str> = PARTS.iter().map(|part| part.name).collect();
        assert_eq!(names.len(), PARTS.len());
        let ports: Vec<u16> =
            PARTS.iter().flat_map(|part| part.ports.iter().map(|(_, host)| *host)).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
        assert!(
            ports.iter().all(|port| *port < 32768),
            "a published port must lie below the ephemeral range"
        );
        let variables: Vec<&str> =
            PARTS.iter().flat_map(|part| (part.variables)(&passwords)).map(|(name, _)| name).collect();
        assert_eq!(variables.iter().collect::<BTreeSet<_>>().len(), variables.len());
    }

    #[tokio::test]
    async fn passwords_are_made_once_and_only_their_owner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache"));
        let first = Passwords::of(&cache).await.unwrap();
        assert_eq!(first.get("postgres").len(), 32);
        assert_ne!(first.get("postgres"), first.get("valkey"));
        assert_eq!(Passwords::of(&cache).await.unwrap().get("postgres"), first.get("postgres"));
        let file = folder.path().join("cache/secrets/passwords.json");
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(format!("{first:?}"), "Passwords(…)");
    }
}

//! Whole loads: text in, canonical form out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::compose;

#[test]
fn a_small_project_in_canonical_form() {
    let case = compose(
        r#"
x-common: &common
  restart: unless-stopped
  environment: { A: 1, B: "${NAME:-b}" }
services:
  web:
    <<: *common
    image: nginx:${TAG}
    command: nginx -g 'daemon off;'
    ports: ["127.0.0.1:8080:80", "9000-9001:9000-9001/udp"]
    depends_on: [db]
    mem_limit: 64m
    stop_grace_period: 90s
    volumes: ["./data:/data:ro", "cache:/cache"]
    healthcheck: { test: wget -q localhost, interval: 1500ms }
  db: { image: postgres, profiles: [] }
volumes: { cache: , unused: }
"#,
    )
    .set("TAG", "1.27");
    insta::assert_json_snapshot!(case.json(), @r#"
    {
      "name": "app",
      "services": {
        "db": {
          "command": null,
          "entrypoint": null,
          "image": "postgres",
          "networks": {
            "default": null
          }
        },
        "web": {
          "command": [
            "nginx",
            "-g",
            "daemon off;"
          ],
          "depends_on": {
            "db": {
              "condition": "service_started",
              "required": true
            }
          },
          "entrypoint": null,
          "environment": {
            "A": "1",
            "B": "b"
          },
          "healthcheck": {
            "interval": "1.5s",
            "test": [
              "CMD-SHELL",
              "wget -q localhost"
            ]
          },
          "image": "nginx:1.27",
          "mem_limit": "67108864",
          "networks": {
            "default": null
          },
          "ports": [
            {
              "host_ip": "127.0.0.1",
              "mode": "ingress",
              "protocol": "tcp",
              "published": "8080",
              "target": 80
            },
            {
              "mode": "ingress",
              "protocol": "udp",
              "published": "9000",
              "target": 9000
            },
            {
              "mode": "ingress",
              "protocol": "udp",
              "published": "9001",
              "target": 9001
            }
          ],
          "restart": "unless-stopped",
          "stop_grace_period": "1m30s",
          "volumes": [
            {
              "bind": {
                "create_host_path": true
              },
              "read_only": true,
              "source": "/proj/app/data",
              "target": "/data",
              "type": "bind"
            },
            {
              "source": "cache",
              "target": "/cache",
              "type": "volume",
              "volume": {}
            }
          ]
        }
      },
      "networks": {
        "default": {
          "ipam": {},
          "name": "app_default"
        }
      },
      "volumes": {
        "cache": {
          "name": "app_cache"
        }
      },
      "x-common": {
        "environment": {
          "A": 1,
          "B": "b"
        },
        "restart": "unless-stopped"
      }
    }
    "#);
}

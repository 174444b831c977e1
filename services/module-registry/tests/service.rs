//! The module-registry service in this process, over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use module_registry::ModuleRegistry;
use serde_json::{Value, json};
use svc_api::module_registry::v1::module_registry_service_client::ModuleRegistryServiceClient;
use svc_api::module_registry::v1::*;
use svc_kit::Problem;
use svc_stores::{Database, values};
use svc_testkit::{CallerChannel, FakeEventBus, TestCaller, TestService, wait_for};
use tonic::{Code, Request, Status};

type Client = ModuleRegistryServiceClient<CallerChannel>;

fn client(service: &TestService<ModuleRegistry>, caller: &TestCaller) -> Client {
    ModuleRegistryServiceClient::new(service.channel(caller))
}

fn manifest(name: &str) -> Value {
    json!({ "name": name, "version": "1.2.3", "kernelSdkVersion": "^1.0.0", "entry": "remoteEntry.js" })
}

fn request(manifest: Value) -> RegisterModuleRequest {
    RegisterModuleRequest { manifest: Some(svc_kit::json::to_struct(manifest.as_object().unwrap().clone())) }
}

async fn register(client: &mut Client, manifest: Value) -> Result<Module, Status> {
    client.register_module(request(manifest)).await.map(tonic::Response::into_inner)
}

async fn in_state(client: &Client, id: &str, status: &str) -> Module {
    wait_for(&format!("{id} to be {status}"), || {
        let (mut client, id) = (client.clone(), id.to_owned());
        async move {
            let module = client.get_module(GetModuleRequest { id }).await.unwrap().into_inner();
            (module.status == status).then_some(module)
        }
    })
    .await
}

fn slug(status: &Status) -> String {
    Problem::from_status(status).slug().to_owned()
}

#[tokio::test]
async fn a_registered_module_becomes_active() {
    let service = TestService::<ModuleRegistry>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let registered = register(&mut client, manifest("@acme/crm")).await.unwrap();
    assert_eq!((registered.status.as_str(), registered.name.as_str()), ("pending", "@acme/crm"));
    let active = in_state(&client, &registered.id, "active").await;
    assert!(active.activated_at.is_some() && active.error.is_empty());
    assert_eq!(active.created_at, registered.created_at);
    let kept = Value::Object(svc_kit::json::from_struct(active.manifest.clone().unwrap()));
    assert_eq!(kept, manifest("@acme/crm"));

    let listed = client.list_active_modules(ListActiveModulesRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.modules, [active]);
    service.stop().await;
}

#[tokio::test]
async fn a_bad_manifest_is_refused_with_every_fault_and_a_name_is_taken_once() {
    let service = TestService::<ModuleRegistry>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let mut bad = manifest("crm");
    bad["version"] = json!("1.2");
    bad["permissions"] = json!(["system.users.delete"]);
    let refused = register(&mut client, bad).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let problem = Problem::from_status(&refused);
    let found: Vec<_> =
        problem.violation_list().iter().map(|one| (one.field.as_str(), one.code.as_str())).collect();
    assert_eq!(found, [("name", "format"), ("version", "format"), ("permissions[0]", "reserved")]);

    register(&mut client, manifest("@acme/crm")).await.unwrap();
    let mut newer = manifest("@acme/crm");
    newer["version"] = json!("2.0.0");
    let taken = register(&mut client, newer).await.unwrap_err();
    assert_eq!((taken.code(), slug(&taken)), (Code::AlreadyExists, "module-taken".to_owned()));
    let unimplemented = client.update_module(UpdateModuleRequest::default()).await.unwrap_err();
    assert_eq!(unimplemented.code(), Code::Unimplemented);
    let unimplemented = client.rollback_module(RollbackModuleRequest::default()).await.unwrap_err();
    assert_eq!(unimplemented.code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_module_waits_for_what_it_depends_on() {
    let service = TestService::<ModuleRegistry>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let mut crm = manifest("@acme/crm");
    crm["dependencies"] = json!({ "@acme/base": "^1.0.0" });
    let id = register(&mut client, crm).await.unwrap().id;
    let failed = in_state(&client, &id, "failed").await;
    assert_eq!(failed.error, "it depends on `@acme/base`, which is not active");

    let base = register(&mut client, manifest("@acme/base")).await.unwrap().id;
    in_state(&client, &base, "active").await;
    client.retry_install(RetryInstallRequest { id: id.clone() }).await.unwrap();
    in_state(&client, &id, "active").await;
    let again = client.retry_install(RetryInstallRequest { id }).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition);

    let mut late = manifest("@acme/late");
    late["dependencies"] = json!({ "@acme/base": "^2.0.0" });
    let id = register(&mut client, late).await.unwrap().id;
    assert!(in_state(&client, &id, "failed").await.error.contains("another version"));
}

#[tokio::test]
async fn a_disabled_module_is_no_longer_active() {
    let service = TestService::<ModuleRegistry>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let id = register(&mut client, manifest("@acme/crm")).await.unwrap().id;
    in_state(&client, &id, "active").await;
    let disabled = client.disable_module(DisableModuleRequest { id: id.clone() }).await.unwrap().into_inner();
    assert_eq!(disabled.status, "disabled");
    let active = client.list_active_modules(ListActiveModulesRequest::default()).await.unwrap().into_inner();
    assert!(active.modules.is_empty());
    let twice = client.disable_module(DisableModuleRequest { id }).await.unwrap_err();
    assert_eq!(twice.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let service = TestService::<ModuleRegistry>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let mut ids = Vec::new();
    for name in ["@acme/a", "@acme/b", "@acme/c"] {
        let id = register(&mut client, manifest(name)).await.unwrap().id;
        in_state(&client, &id, "active").await;
        ids.push(id);
    }
    client.disable_module(DisableModuleRequest { id: ids[1].clone() }).await.unwrap();
    let of = |reply: &ListModulesReply| -> Vec<String> {
        reply.modules.iter().map(|one| one.id.clone()).collect()
    };
    let request = ListModulesRequest { page_size: 2, ..Default::default() };
    let first = client.list_modules(request.clone()).await.unwrap().into_inner();
    assert_eq!(of(&first), ids[..2]);
    let request = ListModulesRequest { page_token: first.next_page_token, ..request };
    let rest = client.list_modules(request).await.unwrap().into_inner();
    assert_eq!((of(&rest), rest.next_page_token.as_str()), (ids[2..].to_vec(), ""));
    let request = ListModulesRequest { status: "active".to_owned(), ..Default::default() };
    let active = client.list_modules(request).await.unwrap().into_inner();
    assert_eq!(of(&active), [ids[0].clone(), ids[2].clone()]);
    for wrong in [
        ListModulesRequest { status: "gone".to_owned(), ..Default::default() },
        ListModulesRequest { page_size: -1, ..Default::default() },
        ListModulesRequest { page_token: "x".to_owned(), ..Default::default() },
    ] {
        assert_eq!(client.list_modules(wrong).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn another_tenant_sees_nothing_and_may_use_the_same_name() {
    let service = TestService::<ModuleRegistry>::start().await;
    let mut owner = client(&service, &TestCaller::owner());
    let id = register(&mut owner, manifest("@acme/crm")).await.unwrap().id;
    in_state(&owner, &id, "active").await;

    let mut stranger = client(&service, &TestCaller::owner());
    for status in [
        stranger.get_module(GetModuleRequest { id: id.clone() }).await.unwrap_err(),
        stranger.disable_module(DisableModuleRequest { id: id.clone() }).await.unwrap_err(),
        stranger.retry_install(RetryInstallRequest { id: id.clone() }).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::NotFound);
    }
    assert!(
        stranger.list_modules(ListModulesRequest::default()).await.unwrap().into_inner().modules.is_empty()
    );
    let mut needs = manifest("@acme/needs");
    needs["dependencies"] = json!({ "@acme/crm": "*" });
    let needs = register(&mut stranger, needs).await.unwrap().id;
    in_state(&stranger, &needs, "failed").await;
    register(&mut stranger, manifest("@acme/crm")).await.unwrap();
    let mut nobody = client(&service, &TestCaller::nobody());
    assert_eq!(register(&mut nobody, manifest("@a/b")).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn the_same_key_registers_once() {
    let mut service = TestService::<ModuleRegistry>::start().await;
    let owner = TestCaller::owner();
    let keyed = || {
        let mut request = Request::new(request(manifest("@acme/crm")));
        request
            .metadata_mut()
            .insert("idempotency-key", "0199a000-0000-7000-8000-000000000001".parse().unwrap());
        request
    };
    let first = client(&service, &owner).register_module(keyed()).await.unwrap().into_inner();
    service.restart().await;
    let mut after = client(&service, &owner);
    assert_eq!(after.register_module(keyed()).await.unwrap().into_inner().id, first.id);
    assert_eq!(register(&mut after, manifest("@acme/crm")).await.unwrap_err().code(), Code::AlreadyExists);
}

#[tokio::test]
async fn an_installation_that_a_crash_cut_off_is_finished_and_told_of() {
    let mut service = TestService::<ModuleRegistry>::start().await;
    let owner = TestCaller::owner();
    let traced =
        owner.clone().with_header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let mut before = client(&service, &traced);
    let id = register(&mut before, manifest("@acme/crm")).await.unwrap().id;
    in_state(&before, &id, "active").await;
    // As a process leaves it that was killed in the middle.
    let url = format!("sqlite://{}/module-registry.db", service.data().display());
    let database = Database::connect(&url).await.unwrap();
    let sql = "UPDATE modules SET status = 'installing', activated_at = NULL";
    assert_eq!(database.system().execute(sql, values![]).await.unwrap(), 1);
    database.close().await;

    let bus = FakeEventBus::start().await;
    service.restart_with([("EVENTS_URL", bus.url())]).await;
    assert!(in_state(&client(&service, &owner), &id, "active").await.activated_at.is_some());
    let registered = bus.wait_for("module.registry.registered").await;
    assert_eq!((registered.tenant, registered.event.key.as_str()), (owner.tenant, id.as_str()));
    assert_eq!(registered.event.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    let activated = bus.wait_for("module.registry.activated").await;
    assert_eq!(activated.event.topic, "platform.module.events");
}

#[tokio::test]
async fn a_tenant_has_at_most_fifty_modules() {
    let service = TestService::<ModuleRegistry>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    for number in 0..50 {
        register(&mut client, manifest(&format!("@acme/m{number}"))).await.unwrap();
    }
    let refused = register(&mut client, manifest("@acme/one-more")).await.unwrap_err();
    assert_eq!((refused.code(), slug(&refused)), (Code::FailedPrecondition, "too-many-modules".to_owned()));
}

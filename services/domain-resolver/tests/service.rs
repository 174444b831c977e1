//! The whole service over gRPC, as the gateway calls it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use domain_resolver::DomainResolver;
use svc_api::domain_resolver::v1 as api;
use svc_api::domain_resolver::v1::domain_resolver_service_client::DomainResolverServiceClient;
use svc_kit::{Environment, Problem, StartError};
use svc_testkit::{CallerChannel, TestCaller, TestService, wait_for};
use tonic::Code;

type Client = DomainResolverServiceClient<CallerChannel>;

fn client(service: &TestService<DomainResolver>, caller: &TestCaller) -> Client {
    DomainResolverServiceClient::new(service.channel(caller))
}

fn add(hostname: &str) -> api::AddDomainRequest {
    api::AddDomainRequest { hostname: hostname.to_owned() }
}

#[tokio::test]
async fn a_development_name_is_added_verified_and_found() {
    let mut service =
        TestService::<DomainResolver>::start_with([("RESOLVER_URL", "static://development")]).await;
    let owner = TestCaller::owner();
    let mut domains = client(&service, &owner);
    let added = domains.add_domain(add("Shop.Acme.test")).await.unwrap().into_inner();
    assert_eq!((added.hostname.as_str(), added.status.as_str()), ("shop.acme.test", "pending"));
    assert_eq!(added.ssl_status, "none");
    let records: Vec<_> =
        added.instructions.iter().map(|record| (&*record.r#type, &*record.name, &*record.value)).collect();
    assert_eq!(
        records,
        [
            ("CNAME", "shop.acme.test", "custom.platform.io"),
            ("TXT", "_platform-verify.shop.acme.test", &*added.verification_token)
        ]
    );
    let lifetime = added.expires_at.unwrap().seconds - added.created_at.unwrap().seconds;
    assert_eq!(lifetime, 72 * 3600);

    let verified =
        domains.verify_domain(api::VerifyDomainRequest { id: added.id.clone() }).await.unwrap().into_inner();
    assert_eq!((verified.status.as_str(), verified.last_error.as_str()), ("verified", ""));
    assert!(verified.verified_at.is_some() && verified.checked_at.is_some());

    service.restart().await;
    // Who asks whose a name is has no tenant.
    let mut gateway = client(&service, &TestCaller::nobody());
    let request = api::ResolveHostnameRequest { hostname: "SHOP.acme.test.".to_owned() };
    let found = gateway.resolve_hostname(request).await.unwrap().into_inner();
    assert_eq!((found.tenant_id, found.domain_id), (owner.tenant.unwrap().to_string(), added.id.clone()));

    client(&service, &owner).delete_domain(api::DeleteDomainRequest { id: added.id }).await.unwrap();
    let request = api::ResolveHostnameRequest { hostname: "shop.acme.test".to_owned() };
    assert_eq!(gateway.resolve_hostname(request).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_zone_file_is_looked_at_by_itself() {
    let service = TestService::<DomainResolver>::start_with([
        ("RESOLVER_URL", "file://{data}/zones.yaml"),
        ("CHECK_INTERVAL", "10ms"),
    ])
    .await;
    let mut domains = client(&service, &TestCaller::owner());
    let added = domains.add_domain(add("shop.acme.com")).await.unwrap().into_inner();
    let zones = format!(
        "shop.acme.com: {{ CNAME: [custom.platform.io] }}\n\
         _platform-verify.shop.acme.com: {{ TXT: [\"{}\"] }}\n",
        added.verification_token
    );
    std::fs::write(service.data().join("zones.yaml"), zones).unwrap();
    wait_for("the name to be verified", || {
        let mut domains = domains.clone();
        let request = api::GetDomainRequest { id: added.id.clone() };
        async move {
            let domain = domains.get_domain(request).await.unwrap().into_inner();
            (domain.status == "verified").then_some(())
        }
    })
    .await;
}

#[tokio::test]
async fn names_outside_development_are_told_what_is_missing() {
    let service = TestService::<DomainResolver>::start_with([("RESOLVER_URL", "static://development")]).await;
    let mut domains = client(&service, &TestCaller::owner());
    let added = domains.add_domain(add("shop.acme.com")).await.unwrap().into_inner();
    let checked =
        domains.verify_domain(api::VerifyDomainRequest { id: added.id }).await.unwrap().into_inner();
    assert_eq!(checked.status, "pending");
    assert!(checked.last_error.contains("expected CNAME custom.platform.io"), "{}", checked.last_error);
}

/// A name server that answers every question with SERVFAIL.
async fn failing_name_server() -> std::net::SocketAddr {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut message = [0; 4096];
        loop {
            let (length, client) = socket.recv_from(&mut message).await.unwrap();
            // The question itself, marked as an answer with response code 2.
            message[2] |= 0x80;
            message[3] = (message[3] & 0xf0) | 2;
            socket.send_to(&message[..length], client).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_name_server_that_fails_is_no_verdict() {
    let url = format!("dns://{}", failing_name_server().await);
    let service = TestService::<DomainResolver>::start_with([("RESOLVER_URL", url)]).await;
    let mut domains = client(&service, &TestCaller::owner());
    let added = domains.add_domain(add("shop.acme.com")).await.unwrap().into_inner();
    let verify = domains.verify_domain(api::VerifyDomainRequest { id: added.id.clone() }).await.unwrap_err();
    assert_eq!(verify.code(), Code::Unavailable);
    let still =
        domains.get_domain(api::GetDomainRequest { id: added.id.clone() }).await.unwrap().into_inner();
    assert_eq!((still.status.as_str(), still.checked_at), ("pending", None));
    let renew = domains.renew_certificate(api::RenewCertificateRequest { id: added.id }).await.unwrap_err();
    assert_eq!(renew.code(), Code::Unimplemented);
}

#[tokio::test]
async fn tenants_are_apart_and_strangers_stay_outside() {
    let service = TestService::<DomainResolver>::start_with([("RESOLVER_URL", "static://development")]).await;
    let (ours, theirs) = (TestCaller::owner(), TestCaller::owner());
    let added = client(&service, &ours).add_domain(add("shop.acme.com")).await.unwrap().into_inner();
    let mut other = client(&service, &theirs);
    let taken = other.add_domain(add("shop.acme.com")).await.unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists);
    assert!(!taken.message().contains(&ours.tenant.unwrap().to_string()), "who has it is not told");
    let id = added.id.clone();
    assert_eq!(other.get_domain(api::GetDomainRequest { id }).await.unwrap_err().code(), Code::NotFound);
    let list = other.list_domains(api::ListDomainsRequest::default()).await.unwrap().into_inner();
    assert!(list.domains.is_empty());
    let outside = client(&service, &ours.from_outside()).add_domain(add("b.acme.com")).await.unwrap_err();
    assert_eq!(outside.code(), Code::Unauthenticated);
    let nobody = client(&service, &TestCaller::nobody()).add_domain(add("b.acme.com")).await.unwrap_err();
    assert_eq!(Problem::from_status(&nobody).slug(), "tenant-missing");
}

#[tokio::test]
async fn pages_follow_one_another_and_wrong_requests_are_refused() {
    let service = TestService::<DomainResolver>::start_with([("RESOLVER_URL", "static://development")]).await;
    let mut domains = client(&service, &TestCaller::owner());
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(
            domains.add_domain(add(&format!("n{number}.acme.com"))).await.unwrap().into_inner().hostname,
        );
    }
    made.reverse();
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = api::ListDomainsRequest { page_size: 2, page_token };
        let reply = domains.list_domains(request).await.unwrap().into_inner();
        seen.extend(reply.domains.into_iter().map(|domain| domain.hostname));
        page_token = reply.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, made);
    let wrong = Problem::from_status(&domains.add_domain(add("10.0.0.1")).await.unwrap_err());
    assert_eq!((wrong.slug(), wrong.violation_list()[0].field.as_str()), ("validation-error", "hostname"));
    let wrong = domains.get_domain(api::GetDomainRequest { id: "x".to_owned() }).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_wrong_environment_is_told_all_at_once() {
    let environment =
        Environment::from_iter([("RESOLVER_URL", "static://production"), ("CHECK_INTERVAL", "soon")]);
    let Err(StartError::Configuration(error)) = TestService::<DomainResolver>::try_start(&environment).await
    else {
        panic!("it may not start");
    };
    let text = error.to_string();
    for name in ["INTERNAL_TOKEN", "DATABASE_URL", "RESOLVER_URL", "CHECK_INTERVAL"] {
        assert!(text.contains(name), "{name} is missing in: {text}");
    }
}

//! iam over its wire: accounts, tokens, tenancy, what survives a restart, what others are told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "service/onboarding.rs"]
mod onboarding;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use iam::Iam;
use svc_api::{
    iam::v1::{
        AcceptInvitationRequest, AssignRolesRequest, BeginProviderLoginRequest, CreateRoleRequest,
        CreateTenantRequest, CreateUserRequest, DeleteUserRequest, EnableMfaRequest, GetJwksRequest,
        GetPermissionsRequest, ImpersonateRequest, InviteUserRequest, ListRolesRequest, ListTenantsRequest,
        ListUsersRequest, LoginReply, LoginRequest, LogoutRequest, MeRequest, RefreshRequest,
        RegisterRequest, RequestResetRequest, ResetPasswordRequest, RetrieveUserRequest, SelectTenantRequest,
        SetupPlatformOwnerRequest, SwitchTenantRequest, TokenReply, UpdateRoleRequest, UpdateUserRequest,
        ValidateTokenRequest, VerifyEmailRequest, VerifyMfaRequest, auth_service_client::AuthServiceClient,
        iam_service_client::IamServiceClient, internal_service_client::InternalServiceClient,
        role_service_client::RoleServiceClient, tenant_service_client::TenantServiceClient,
    },
    notify::v1::{
        SendReply, SendRequest,
        notify_service_server::{NotifyService, NotifyServiceServer},
    },
};
use svc_kit::{Problem, RequestContext};
use svc_testkit::{CallerChannel, FakeEventBus, FakeNeighbour, TestCaller, TestService, wait_for};
use tonic::{Code, Request, Response, Status, service::Routes};

const PASSWORD: &str = "correct horse battery";

fn auth(service: &TestService<Iam>, caller: &TestCaller) -> AuthServiceClient<CallerChannel> {
    AuthServiceClient::new(service.channel(caller))
}

fn internal(service: &TestService<Iam>) -> InternalServiceClient<CallerChannel> {
    InternalServiceClient::new(service.channel(&TestCaller::nobody()))
}

async fn register(service: &TestService<Iam>, email: &str, organization: &str) -> TokenReply {
    let request = RegisterRequest {
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
        name: "Ada".to_owned(),
        organization: organization.to_owned(),
    };
    auth(service, &TestCaller::nobody()).register(request).await.unwrap().into_inner()
}

async fn login(service: &TestService<Iam>, email: &str, password: &str) -> Result<LoginReply, Status> {
    let request =
        LoginRequest { email: email.to_owned(), password: password.to_owned(), mfa_code: String::new() };
    auth(service, &TestCaller::nobody()).login(request).await.map(Response::into_inner)
}

/// The caller that the gateway would make of a token.
fn signed_in(reply: &TokenReply) -> TestCaller {
    TestCaller::nobody().as_user(&reply.tenant.as_ref().unwrap().id, &reply.user.as_ref().unwrap().id)
}

/// Plays notify: refuses once, then keeps what it was sent, once per key against repetition.
#[derive(Clone, Default)]
struct PostOffice {
    letters: Arc<Mutex<Vec<Post>>>,
    refused: Arc<Mutex<bool>>,
}

/// A letter, with the tenant and the key of the call.
#[derive(Debug, Clone)]
struct Post {
    tenant: String,
    key: String,
    letter: SendRequest,
}

#[tonic::async_trait]
impl NotifyService for PostOffice {
    async fn send(&self, request: Request<SendRequest>) -> Result<Response<SendReply>, Status> {
        if !std::mem::replace(&mut *self.refused.lock().unwrap(), true) {
            return Err(Status::unavailable("not yet"));
        }
        let context = RequestContext::of(&request);
        let key = context.idempotency_key.clone().unwrap_or_default();
        let mut letters = self.letters.lock().unwrap();
        if !letters.iter().any(|post| post.key == key) {
            letters.push(Post { tenant: context.tenant()?.to_string(), key, letter: request.into_inner() });
        }
        Ok(Response::new(SendReply::default()))
    }
}

impl PostOffice {
    async fn start() -> (PostOffice, FakeNeighbour) {
        let office = PostOffice::default();
        let fake = FakeNeighbour::start(Routes::new(NotifyServiceServer::new(office.clone()))).await;
        (office, fake)
    }

    /// The tokens of so many letters to an address whose links lead to this page.
    async fn tokens(&self, email: &str, page: &str, count: usize) -> Vec<String> {
        wait_for(page, || async {
            let letters = self.letters.lock().unwrap();
            let found: Vec<String> = letters
                .iter()
                .filter(|post| post.letter.recipient == email)
                .filter_map(|post| {
                    let (_, rest) = post.letter.body.split_once(&format!("/{page}?token="))?;
                    Some(rest.lines().next()?.to_owned())
                })
                .collect();
            (found.len() == count).then_some(found)
        })
        .await
    }
}

fn slug(status: &Status) -> String {
    Problem::from_status(status).slug().to_owned()
}

#[tokio::test]
async fn a_newcomer_registers_signs_in_and_is_known() {
    let service = TestService::<Iam>::start().await;
    let registered = register(&service, "Ada@Example.com", "Acme").await;
    assert_eq!((registered.token_type.as_str(), registered.expires_in), ("Bearer", 900));
    let tenant = registered.tenant.clone().unwrap();
    assert_eq!(
        (tenant.name.as_str(), tenant.tier.as_str(), tenant.status.as_str()),
        ("Acme", "client", "active")
    );

    let reply = login(&service, "ada@example.com", PASSWORD).await.unwrap();
    assert_eq!(reply.tenant.unwrap().id, tenant.id);
    let me = auth(&service, &signed_in(&registered)).me(MeRequest {}).await.unwrap().into_inner();
    assert_eq!(me.user.unwrap().email, "ada@example.com");
    assert_eq!(me.roles, ["Owner"]);
    assert_eq!(me.permissions, ["*"]);

    let token = ValidateTokenRequest { token: reply.access_token };
    let validated = internal(&service).validate_token(token).await.unwrap().into_inner();
    assert_eq!((validated.tenant_id, validated.roles), (tenant.id, vec!["Owner".to_owned()]));
    service.stop().await;
}

#[tokio::test]
async fn an_access_token_can_be_checked_with_the_published_keys_and_says_what_is_documented() {
    let service = TestService::<Iam>::start().await;
    let registered = register(&service, "ada@example.com", "Acme").await;
    let jwks = internal(&service).get_jwks(GetJwksRequest {}).await.unwrap().into_inner().jwks_json;
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&jwks).unwrap();
    let header = jsonwebtoken::decode_header(&registered.access_token).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(set.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.set_audience(&["platform-kernel"]);
    rules.set_issuer(&["https://api.septemcore.com"]);
    let token =
        jsonwebtoken::decode::<HashMap<String, serde_json::Value>>(&registered.access_token, &key, &rules);
    let claims = token.unwrap().claims;
    assert_eq!(claims["sub"], registered.user.unwrap().id);
    assert_eq!(claims["tenantId"], registered.tenant.unwrap().id);
    assert_eq!(claims["email"], "ada@example.com");
    assert_eq!(claims["roles"], serde_json::json!(["Owner"]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    service.stop().await;
}

#[tokio::test]
async fn every_broken_rule_is_told_at_once_and_an_address_is_taken_once() {
    let service = TestService::<Iam>::start().await;
    let mut client = auth(&service, &TestCaller::nobody());
    let nothing = client.register(RegisterRequest::default()).await.unwrap_err();
    let problem = Problem::from_status(&nothing);
    let fields: Vec<_> = problem.violation_list().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!((nothing.code(), fields), (Code::InvalidArgument, vec!["email", "password", "organization"]));

    register(&service, "ada@example.com", "Acme").await;
    let again = client.register(RegisterRequest {
        email: "ADA@example.com".to_owned(),
        password: PASSWORD.to_owned(),
        name: String::new(),
        organization: "Other".to_owned(),
    });
    let again = again.await.unwrap_err();
    assert_eq!((again.code(), slug(&again).as_str()), (Code::AlreadyExists, "email-taken"));
    service.stop().await;
}

#[tokio::test]
async fn guessing_is_told_apart_from_nothing_and_ends_after_ten_tries() {
    let service = TestService::<Iam>::start().await;
    register(&service, "ada@example.com", "Acme").await;
    let unknown = login(&service, "nobody@example.com", PASSWORD).await.unwrap_err();
    let wrong = login(&service, "ada@example.com", "wrong password!").await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (wrong.code(), wrong.message()));
    assert_eq!(slug(&wrong), "invalid-credentials");
    login(&service, "ada@example.com", PASSWORD).await.expect("the count begins anew after a right password");
    for _ in 0..10 {
        assert_eq!(
            login(&service, "ada@example.com", "wrong").await.unwrap_err().code(),
            Code::Unauthenticated
        );
    }
    let locked = login(&service, "ada@example.com", PASSWORD).await.unwrap_err();
    assert_eq!((locked.code(), slug(&locked).as_str()), (Code::ResourceExhausted, "rate-limited"));
    service.stop().await;
}

#[tokio::test]
async fn refresh_tokens_rotate_survive_a_restart_and_die_with_logout() {
    let mut service = TestService::<Iam>::start().await;
    let registered = register(&service, "ada@example.com", "Acme").await;
    let refresh = async |service: &TestService<Iam>, token: &str| {
        let request = RefreshRequest { refresh_token: token.to_owned() };
        auth(service, &TestCaller::nobody()).refresh(request).await.map(Response::into_inner)
    };
    let second = refresh(&service, &registered.refresh_token).await.unwrap();
    assert_ne!(second.refresh_token, registered.refresh_token);
    let again = refresh(&service, &registered.refresh_token).await.unwrap();
    assert_eq!((&again.refresh_token, &again.access_token), (&second.refresh_token, &second.access_token));

    service.restart().await;
    let third = refresh(&service, &second.refresh_token).await.expect("sessions and keys are durable");
    internal(&service)
        .validate_token(ValidateTokenRequest { token: registered.access_token.clone() })
        .await
        .expect("tokens of before the restart are still ours");

    let logout = LogoutRequest { refresh_token: third.refresh_token.clone() };
    let stranger = TestCaller::owner();
    auth(&service, &stranger).logout(logout.clone()).await.expect("nothing is told to a stranger");
    refresh(&service, &third.refresh_token).await.expect("and nothing is changed by one");
    auth(&service, &signed_in(&registered)).logout(logout).await.unwrap();
    let dead = refresh(&service, &third.refresh_token).await.unwrap_err();
    assert_eq!((dead.code(), slug(&dead).as_str()), (Code::Unauthenticated, "token-expired"));
    service.stop().await;
}

#[tokio::test]
async fn a_user_of_two_tenants_chooses_once() {
    let (post, notify) = PostOffice::start().await;
    let service = TestService::<Iam>::start_with([("NOTIFY_URL", notify.url())]).await;
    let acme = register(&service, "ada@example.com", "Acme").await;
    let beta = register(&service, "bob@example.com", "Beta").await;
    // Both companies invite Carol; she has never signed in.
    for owner in [&acme, &beta] {
        let mut client = IamServiceClient::new(service.channel(&signed_in(owner)));
        let carol = InviteUserRequest { email: "carol@example.com".to_owned(), role_ids: Vec::new() };
        client.invite_user(carol).await.unwrap();
    }
    for token in post.tokens("carol@example.com", "accept-invitation", 2).await {
        let accepted =
            AcceptInvitationRequest { token, password: PASSWORD.to_owned(), name: "Carol".to_owned() };
        auth(&service, &TestCaller::nobody()).accept_invitation(accepted).await.unwrap();
    }
    let asked = login(&service, "carol@example.com", PASSWORD).await.unwrap();
    assert!(asked.requires_tenant_selection && asked.access_token.is_empty());
    assert_eq!(asked.tenants.len(), 2);

    let beta_id = beta.tenant.as_ref().unwrap().id.clone();
    let choice = SelectTenantRequest { session_token: asked.session_token, tenant_id: beta_id.clone() };
    let mut client = auth(&service, &TestCaller::nobody());
    let chosen = client.select_tenant(choice.clone()).await.unwrap().into_inner();
    assert_eq!(chosen.tenant.as_ref().unwrap().id, beta_id);
    assert_eq!(client.select_tenant(choice).await.unwrap_err().code(), Code::Unauthenticated, "once");
    let remembered = login(&service, "carol@example.com", PASSWORD).await.unwrap();
    assert_eq!(remembered.tenant.unwrap().id, beta_id);

    let acme_id = acme.tenant.as_ref().unwrap().id.clone();
    let to_acme = SwitchTenantRequest { tenant_id: acme_id.clone() };
    let switched = auth(&service, &signed_in(&chosen)).switch_tenant(to_acme.clone()).await;
    assert_eq!(switched.unwrap().into_inner().tenant.unwrap().id, acme_id);
    let foreign = auth(&service, &signed_in(&beta)).switch_tenant(to_acme).await;
    assert_eq!(slug(&foreign.unwrap_err()), "not-a-member");
    service.stop().await;
}

#[tokio::test]
async fn a_tenant_sees_its_own_users_and_roles_only() {
    let service = TestService::<Iam>::start().await;
    let acme = register(&service, "ada@example.com", "Acme").await;
    let beta = register(&service, "bob@example.com", "Beta").await;
    let mut acme_users = IamServiceClient::new(service.channel(&signed_in(&acme)));
    let mut beta_users = IamServiceClient::new(service.channel(&signed_in(&beta)));
    let mut acme_roles = RoleServiceClient::new(service.channel(&signed_in(&acme)));
    let mut beta_roles = RoleServiceClient::new(service.channel(&signed_in(&beta)));

    let ada = acme.user.as_ref().unwrap().id.clone();
    let foreign = beta_users.retrieve_user(RetrieveUserRequest { id: ada.clone() }).await.unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound);
    let listed = beta_users.list_users(ListUsersRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.users.iter().map(|user| user.email.as_str()).collect::<Vec<_>>(), ["bob@example.com"]);

    let cashier = CreateRoleRequest {
        name: "Cashier".to_owned(),
        description: String::new(),
        permission_ids: vec!["money.wallets.credit".to_owned()],
    };
    let cashier = acme_roles.create_role(cashier).await.unwrap().into_inner();
    let names =
        |roles: Vec<svc_api::iam::v1::Role>| roles.into_iter().map(|role| role.name).collect::<Vec<_>>();
    let all = ListRolesRequest::default();
    assert_eq!(
        names(acme_roles.list_roles(all.clone()).await.unwrap().into_inner().roles),
        ["Owner", "Admin", "Member", "Cashier"]
    );
    assert_eq!(
        names(beta_roles.list_roles(all).await.unwrap().into_inner().roles),
        ["Owner", "Admin", "Member"]
    );

    let bob = beta.user.as_ref().unwrap().id.clone();
    let stolen = AssignRolesRequest { user_id: bob, role_ids: vec![cashier.id.clone()] };
    assert_eq!(beta_roles.assign_roles(stolen.clone()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(acme_roles.assign_roles(stolen).await.unwrap_err().code(), Code::NotFound);

    // Pages follow each other.
    let dora = CreateUserRequest { email: "dora@example.com".to_owned(), ..CreateUserRequest::default() };
    let dora = acme_users.create_user(dora).await.unwrap().into_inner();
    let first =
        acme_users.list_users(ListUsersRequest { page_size: 1, page_token: String::new() }).await.unwrap();
    let first = first.into_inner();
    let rest =
        acme_users.list_users(ListUsersRequest { page_size: 1, page_token: first.next_page_token }).await;
    let rest = rest.unwrap().into_inner();
    assert_eq!((first.users[0].id.as_str(), rest.users[0].id.as_str()), (ada.as_str(), dora.id.as_str()));
    assert!(rest.next_page_token.is_empty());

    // A Member may do nothing that the role does not say, whatever the call claims.
    let mut member = RoleServiceClient::new(
        service.channel(&signed_in(&acme).as_user(&acme.tenant.as_ref().unwrap().id, &dora.id)),
    );
    let greedy = AssignRolesRequest { user_id: dora.id, role_ids: vec![cashier.id] };
    assert_eq!(slug(&member.assign_roles(greedy).await.unwrap_err()), "privilege-escalation");
    service.stop().await;
}

#[tokio::test]
async fn the_gateway_asks_what_roles_grant_and_others_are_told_of_changes() {
    let bus = FakeEventBus::start().await;
    let service = TestService::<Iam>::start_with([("EVENTS_URL", bus.url())]).await;
    let acme = register(&service, "ada@example.com", "Acme").await;
    let tenant_id = acme.tenant.as_ref().unwrap().id.clone();
    let owner = signed_in(&acme);
    let dora = CreateUserRequest { email: "dora@example.com".to_owned(), ..CreateUserRequest::default() };
    let dora = IamServiceClient::new(service.channel(&owner)).create_user(dora).await.unwrap().into_inner();

    let ask = GetPermissionsRequest { tenant_id: tenant_id.clone(), user_id: dora.id.clone() };
    let before = internal(&service).get_permissions(ask.clone()).await.unwrap().into_inner();
    assert_eq!(before.roles, ["Member"]);
    assert!(!before.permissions.contains(&"money.*".to_owned()) && !before.tenant_blocked);
    let stranger = GetPermissionsRequest { user_id: uuid(), ..ask.clone() };
    assert!(internal(&service).get_permissions(stranger).await.unwrap().into_inner().permissions.is_empty());

    let admin = iam::domain::ADMIN().id.to_string();
    let promote = AssignRolesRequest { user_id: dora.id.clone(), role_ids: vec![admin] };
    RoleServiceClient::new(service.channel(&owner)).assign_roles(promote).await.unwrap();
    let after = internal(&service).get_permissions(ask).await.unwrap().into_inner();
    assert_eq!(after.roles, ["Admin"]);

    let changed = bus.wait_for("auth.role.changed").await;
    assert_eq!(changed.tenant.unwrap().to_string(), tenant_id);
    assert_eq!(
        (changed.event.topic.as_str(), changed.event.key.as_str()),
        ("platform.auth.events", dora.id.as_str())
    );
    let payload = svc_kit::json::from_struct(changed.event.payload.unwrap());
    assert_eq!((&payload["oldRoles"], &payload["newRoles"]), (&["Member"].into(), &["Admin"].into()));
    let types: Vec<String> = bus.events().into_iter().map(|published| published.event.r#type).collect();
    assert_eq!(types, ["auth.user.created", "auth.user.logged_in", "auth.user.created", "auth.role.changed"]);
    service.stop().await;
}

fn uuid() -> String {
    TestCaller::owner().user.unwrap().to_string()
}

#[tokio::test]
async fn the_platform_has_one_owner() {
    let service = TestService::<Iam>::start().await;
    let request = |email: &str| SetupPlatformOwnerRequest {
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
        name: "Root".to_owned(),
    };
    let made =
        internal(&service).setup_platform_owner(request("root@example.com")).await.unwrap().into_inner();
    let (user, tenant) = (made.user.unwrap(), made.tenant.unwrap());
    assert_eq!(tenant.tier, "platform");
    let ask = GetPermissionsRequest { tenant_id: tenant.id.clone(), user_id: user.id };
    let granted = internal(&service).get_permissions(ask).await.unwrap().into_inner();
    assert_eq!(
        (granted.permissions.join(" "), granted.roles),
        ("* platform.* system.* tenants.* users.*".to_owned(), vec!["PlatformOwner".to_owned()])
    );
    let second = internal(&service).setup_platform_owner(request("other@example.com")).await.unwrap_err();
    assert_eq!((second.code(), slug(&second).as_str()), (Code::AlreadyExists, "already-set-up"));
    assert_eq!(login(&service, "root@example.com", PASSWORD).await.unwrap().tenant.unwrap().id, tenant.id);
    // Tenants that come later stand below the platform.
    assert_eq!(register(&service, "ada@example.com", "Acme").await.tenant.unwrap().parent_id, tenant.id);
    service.stop().await;
}

#[tokio::test]
async fn outsiders_are_refused_and_what_is_missing_says_so() {
    let service = TestService::<Iam>::start().await;
    let outside = TestCaller::nobody().from_outside();
    let refused = auth(&service, &outside).login(LoginRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("internal token"), "{}", refused.message());
    let no_tenant = auth(&service, &TestCaller::nobody()).me(MeRequest {}).await.unwrap_err();
    assert_eq!(slug(&no_tenant), "tenant-missing");
    let provider = BeginProviderLoginRequest { provider_id: "github".to_owned(), ..Default::default() };
    let missing = auth(&service, &TestCaller::nobody()).begin_provider_login(provider).await.unwrap_err();
    assert_eq!(missing.code(), Code::Unimplemented);
    service.stop().await;
}

#[tokio::test]
async fn letters_are_sent_once_to_those_who_exist_and_in_nobodys_history() {
    let (post, notify) = PostOffice::start().await;
    let service = TestService::<Iam>::start_with([
        ("NOTIFY_URL", notify.url()),
        ("PAGES_URL", "https://app.example.com/"),
    ])
    .await;
    let ada = register(&service, "ada@example.com", "Acme").await;
    let mut client = auth(&service, &TestCaller::nobody());
    for email in ["nobody@example.com", "ada@example.com"] {
        let request = RequestResetRequest { email: email.to_owned() };
        client.request_reset(request).await.expect("the same answer for both");
    }
    let verify = post.tokens("ada@example.com", "verify-email", 1).await.remove(0);
    let reset = post.tokens("ada@example.com", "reset-password", 1).await.remove(0);
    let letters = post.letters.lock().unwrap().clone();
    for Post { tenant, letter, .. } in &letters {
        assert_eq!((letter.channel.as_str(), letter.recipient.as_str()), ("email", "ada@example.com"));
        assert!(letter.body.contains("https://app.example.com/"), "{}", letter.body);
        assert_eq!(*tenant, iam::postman::SENDER.to_string(), "no tenant can read it");
    }
    client.verify_email(VerifyEmailRequest { token: verify }).await.unwrap();
    let me = auth(&service, &signed_in(&ada)).me(MeRequest {}).await.unwrap().into_inner();
    assert!(me.user.unwrap().email_verified);
    let new = "another long password";
    let request = ResetPasswordRequest { token: reset, password: new.to_owned() };
    client.reset_password(request.clone()).await.unwrap();
    let again = client.reset_password(request).await.unwrap_err();
    assert_eq!((again.code(), slug(&again).as_str()), (Code::Unauthenticated, "token-expired"));
    login(&service, "ada@example.com", new).await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn the_metadata_of_openid_connect_leads_to_the_keys() {
    let service = TestService::<Iam>::start_with([("TOKEN_ISSUER", "https://login.example.com/base")]).await;
    let get = async |path: &str| {
        let uri = format!("{}{path}", service.url()).parse::<http::Uri>().unwrap();
        let request = http::Request::get(uri).body(tonic::body::Body::empty()).unwrap();
        let mut channel = service.plain_channel();
        std::future::poll_fn(|context| {
            tonic::client::GrpcService::<tonic::body::Body>::poll_ready(&mut channel, context)
        })
        .await
        .unwrap();
        let answer = tonic::client::GrpcService::call(&mut channel, request).await.unwrap();
        assert_eq!(answer.status(), http::StatusCode::OK, "{path}");
        let body = axum::body::to_bytes(axum::body::Body::new(answer.into_body()), 100_000).await.unwrap();
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()
    };
    let metadata = get("/.well-known/openid-configuration").await;
    assert_eq!(metadata["issuer"], "https://login.example.com/base");
    assert_eq!(metadata["jwks_uri"], "https://login.example.com/base/.well-known/jwks.json");
    assert_eq!(metadata["id_token_signing_alg_values_supported"], serde_json::json!(["ES256"]));
    assert!(metadata.get("authorization_endpoint").is_none(), "what is not there is not named");
    let jwks = get("/.well-known/jwks.json").await;
    assert_eq!(jwks["keys"][0]["crv"], "P-256");
    service.stop().await;
}

#[tokio::test]
async fn what_is_the_persons_own_is_not_for_whoever_impersonates_them() {
    let bus = FakeEventBus::start().await;
    let service = TestService::<Iam>::start_with([("EVENTS_URL", bus.url())]).await;
    let root = SetupPlatformOwnerRequest {
        email: "root@example.com".to_owned(),
        password: PASSWORD.to_owned(),
        name: String::new(),
    };
    let root = internal(&service).setup_platform_owner(root).await.unwrap().into_inner();
    let root = TestCaller::nobody().as_user(&root.tenant.unwrap().id, &root.user.unwrap().id);
    let ada = register(&service, "ada@example.com", "Acme").await;
    let (user, tenant) = (ada.user.clone().unwrap().id, ada.tenant.clone().unwrap().id);
    let ask = ImpersonateRequest {
        user_id: user.clone(),
        tenant_id: tenant.clone(),
        reason: "ticket 7".to_owned(),
    };
    let granted = auth(&service, &root).impersonate(ask.clone()).await.unwrap().into_inner();
    assert!(granted.refresh_token.is_empty());
    let token = ValidateTokenRequest { token: granted.access_token };
    let validated = internal(&service).validate_token(token).await.unwrap().into_inner();
    assert_eq!((&validated.user_id, &validated.tenant_id), (&user, &tenant));
    assert_eq!(validated.roles, ["Owner", "Impersonated"]);

    // The roles of the token are what the gateway hands on.
    let mut impersonator = signed_in(&ada);
    impersonator.roles = validated.roles;
    let mut client = auth(&service, &impersonator);
    client.me(MeRequest {}).await.unwrap();
    let switch = client.switch_tenant(SwitchTenantRequest { tenant_id: tenant.clone() }).await.map(drop);
    let enable = client.enable_mfa(EnableMfaRequest {}).await.map(drop);
    let verify = client.verify_mfa(VerifyMfaRequest::default()).await.map(drop);
    let further = client.impersonate(ask).await.map(drop);
    for refused in [switch, enable, verify, further] {
        assert_eq!(slug(&refused.unwrap_err()), "impersonated");
    }
    let told = bus.wait_for("auth.user.impersonated").await;
    assert_eq!(told.tenant.unwrap().to_string(), tenant, "in the trail of the tenant itself");
    let payload = svc_kit::json::from_struct(told.event.payload.unwrap());
    assert_eq!((&payload["reason"], &payload["userId"]), (&"ticket 7".into(), &user.as_str().into()));
    assert_eq!(payload["impersonatorId"], root.user.unwrap().to_string());
    service.stop().await;
}

#[tokio::test]
async fn changes_name_what_changes_and_the_rest_stays() {
    let service = TestService::<Iam>::start().await;
    let ada = register(&service, "ada@example.com", "Acme").await;
    let owner = signed_in(&ada);
    let mut users = IamServiceClient::new(service.channel(&owner));
    let mut roles = RoleServiceClient::new(service.channel(&owner));
    let user = ada.user.clone().unwrap();
    let mask = |paths: &[&str]| {
        Some(prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() })
    };
    let mut update = async |paths: &[&str]| {
        let new = svc_api::iam::v1::User {
            name: "Countess".to_owned(),
            email: "evil@example.com".to_owned(),
            ..Default::default()
        };
        let request = UpdateUserRequest { id: user.id.clone(), user: Some(new), update_mask: mask(paths) };
        users.update_user(request).await.map(Response::into_inner)
    };
    let changed = update(&["name"]).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.email.as_str()), ("Countess", "ada@example.com"));
    for paths in [&[][..], &["email"], &["name", "email_verified"]] {
        assert_eq!(update(paths).await.unwrap_err().code(), Code::InvalidArgument, "{paths:?}");
    }
    let request = UpdateRoleRequest {
        id: iam::domain::MEMBER().id.to_string(),
        role: Some(svc_api::iam::v1::Role { description: "x".to_owned(), ..Default::default() }),
        update_mask: mask(&["description"]),
    };
    assert_eq!(slug(&roles.update_role(request).await.unwrap_err()), "built-in-role");
    let own = DeleteUserRequest { id: user.id.clone() };
    assert_eq!(slug(&users.delete_user(own).await.unwrap_err()), "one-owner");
    let mut tenants = TenantServiceClient::new(service.channel(&owner));
    let listed = tenants.list_tenants(ListTenantsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.tenants, [ada.tenant.clone().unwrap()]);
    let below = CreateTenantRequest {
        name: "Below".to_owned(),
        tier: "client".to_owned(),
        owner_email: "bob@example.com".to_owned(),
    };
    assert_eq!(slug(&tenants.create_tenant(below).await.unwrap_err()), "tier-not-allowed");
    service.stop().await;
}

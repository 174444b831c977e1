//! What is not implemented yet is listed in `docs/services.md`, and nothing else is.
#![allow(missing_docs)]

use domain_resolver::DomainResolver;
use svc_testkit::{TestService, documented};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_implemented_is_documented() {
    let service = TestService::<DomainResolver>::start().await;
    documented::check(&service, &["platform.domain_resolver.v1"]).await;
}

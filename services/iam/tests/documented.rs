//! What is not implemented yet is listed in `docs/services.md`, and nothing else is.
#![allow(missing_docs)]

use iam::Iam;
use svc_testkit::{TestService, documented};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_implemented_is_documented() {
    let service = TestService::<Iam>::start().await;
    documented::check(&service, &["platform.iam.v1"]).await;
}

//! What is not implemented yet is listed in `docs/services.md`, and nothing else is.
#![allow(missing_docs)]

use notify::Notify;
use svc_testkit::{TestService, documented};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_implemented_is_documented() {
    let service = TestService::<Notify>::start().await;
    documented::check(&service, &["platform.notify.v1"]).await;
}

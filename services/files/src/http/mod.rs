//! The raw HTTP door: what does not fit into gRPC because it is large. The chassis has checked the internal token.

mod download;
mod upload;

use axum::Router;
use axum::routing::{get, post};
use svc_kit::Problem;

use crate::library::Library;

/// The routes that the gateway passes through.
pub(crate) fn routes(library: Library) -> Router {
    Router::new()
        .route("/v1/files/upload", post(upload::upload))
        .route("/v1/files/{id}/content", get(download::content))
        .route("/v1/files/{id}/thumbnail/{preset}", get(thumbnail))
        .with_state(library)
}

async fn thumbnail() -> Problem {
    Problem::not_implemented("Thumbnails are not made yet; the content is at /v1/files/{id}/content.")
}

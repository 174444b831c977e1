//! `POST /v1/files/upload`.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt as _;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode};
use svc_kit::{Caller, Problem, RequestContext};

use crate::domain::Status;
use crate::intake::{Taken, too_large};
use crate::library::Library;
use crate::message;

/// Headers and borders of the form may add this much to the file.
const FORM_OVERHEAD: u64 = 64 * 1024;

/// Takes a form. 201 when the file is available, 202 when it still waits for the scanner.
pub(super) async fn upload(
    State(library): State<Library>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let context = RequestContext::from_headers(request.headers());
    let caller = Caller::from_context(&context)?;
    let boundary = boundary_of(request.headers())?;
    // Whoever says that he has too much is told so before he sends it.
    if length_of(request.headers()).is_some_and(|length| length > library.limits.upload + FORM_OVERHEAD) {
        return Err(too_large(library.limits.upload));
    }
    let body = request.into_body().into_data_stream().map_err(std::io::Error::other);
    // In a task of its own: when the client goes away, the body ends with an error and the upload is cleared away,
    // which a dropped future could not do.
    let taking = tokio::spawn(
        context.scope(async move { library.take(caller.tenant, caller.user, boundary, body).await }),
    );
    let Taken { file } = taking.await.map_err(Problem::internal)??;
    let status = if file.status == Status::PendingScan { StatusCode::ACCEPTED } else { StatusCode::CREATED };
    let body = message::json_of(&message::file(&file))?;
    let headers =
        [(CONTENT_TYPE, "application/json".to_owned()), (LOCATION, format!("/v1/files/{}", file.id))];
    Ok((status, headers, body).into_response())
}

fn boundary_of(headers: &HeaderMap) -> Result<String, Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    multer::parse_boundary(content_type).map_err(|_| {
        Problem::invalid(
            "An upload is a form: send it as multipart/form-data with the fields file, bucket and metadata.",
        )
        .violation("content-type", "media-type", "must be multipart/form-data with a boundary")
    })
}

fn length_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

//! `GET /v1/files/{id}/content`.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, future};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, StatusCode};
use svc_kit::{Caller, Problem};
use svc_stores::objects::ObjectStream;
use uuid::Uuid;

use crate::domain::filename::content_disposition;
use crate::domain::media::is_shown_inline;
use crate::domain::{ByteRange, File, parse_range};
use crate::library::{Library, no_such_file};

/// Streams the content, whole or one range of it.
pub(super) async fn content(
    State(library): State<Library>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = Caller::from_headers(&headers)?;
    let id: Uuid = id.parse().map_err(|_| no_such_file())?;
    let (file, content) = library.open(caller.tenant, id).await?;
    let tag = format!("\"{}\"", file.sha256);
    if text(&headers, &IF_NONE_MATCH).is_some_and(|known| names(known, &tag)) {
        return answer(StatusCode::NOT_MODIFIED, &file, &tag, None, Body::empty());
    }
    let wanted = match text(&headers, &IF_RANGE) {
        // The client has a part of something else.
        Some(known) if known.trim() != tag => None,
        _ => text(&headers, &RANGE),
    };
    match parse_range(wanted, file.size) {
        ByteRange::Whole => {
            answer(StatusCode::OK, &file, &tag, Some((file.size, None)), Body::from_stream(content))
        }
        ByteRange::Part { first, last } => {
            let length = last - first + 1;
            let range = format!("bytes {first}-{last}/{}", file.size);
            let part = Body::from_stream(part_of(content, first, length));
            answer(StatusCode::PARTIAL_CONTENT, &file, &tag, Some((length, Some(range))), part)
        }
        ByteRange::Unsatisfiable => {
            let range = format!("bytes */{}", file.size);
            answer(StatusCode::RANGE_NOT_SATISFIABLE, &file, &tag, Some((0, Some(range))), Body::empty())
        }
    }
}

fn answer(
    status: StatusCode,
    file: &File,
    tag: &str,
    length: Option<(u64, Option<String>)>,
    body: Body,
) -> Result<Response, Problem> {
    let inline = is_shown_inline(&file.mime_type);
    let mut response = Response::builder()
        .status(status)
        .header(ETAG, tag)
        .header(ACCEPT_RANGES, "bytes")
        // An id's content never changes, but whether its reader may see it does.
        .header(CACHE_CONTROL, "private, no-cache")
        .header(CONTENT_TYPE, file.mime_type.as_str())
        .header(CONTENT_DISPOSITION, content_disposition(inline, &file.filename))
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    if let Some((length, range)) = length {
        response = response.header(CONTENT_LENGTH, length);
        if let Some(range) = range {
            response = response.header(CONTENT_RANGE, range);
        }
    }
    response.body(body).map_err(Problem::internal)
}

/// `length` bytes from `first` on.
fn part_of(content: ObjectStream, first: u64, length: u64) -> ObjectStream {
    let (mut skip, mut left) = (first, length);
    content
        .map_ok(move |mut piece: Bytes| {
            let skipped = skip.min(piece.len() as u64);
            skip -= skipped;
            // Both are at most the length of the piece.
            let _ = piece.split_to(usize::try_from(skipped).unwrap_or(usize::MAX));
            let taken = left.min(piece.len() as u64);
            left -= taken;
            piece.truncate(usize::try_from(taken).unwrap_or(usize::MAX));
            (piece, left == 0)
        })
        .scan(false, |ended, piece| {
            // Ends behind the piece that completed the part, without reading on.
            if *ended {
                return future::ready(None);
            }
            *ended = matches!(&piece, Ok((_, true)) | Err(_));
            future::ready(Some(piece.map(|(piece, _)| piece)))
        })
        .try_filter(|piece| future::ready(!piece.is_empty()))
        .boxed()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a list of entity tags names this one.
fn names(list: &str, tag: &str) -> bool {
    list.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use svc_stores::objects::collect;

    use super::*;

    #[tokio::test]
    async fn a_part_is_cut_out_of_any_pieces() {
        let whole: Vec<u8> = (0..50).collect();
        for piece in [1, 7, 25, 50] {
            for (first, length) in [(0_usize, 50_usize), (0, 1), (49, 1), (10, 20), (24, 2)] {
                let pieces: Vec<_> =
                    whole.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
                let part = part_of(futures::stream::iter(pieces).boxed(), first as u64, length as u64);
                assert_eq!(
                    collect(part).await.expect("no error"),
                    &whole[first..first + length],
                    "{piece} {first}"
                );
            }
        }
    }

    #[test]
    fn entity_tags_are_found_in_lists() {
        assert!(names("\"a\", W/\"b\"", "\"b\""));
        assert!(names("*", "\"b\""));
        assert!(!names("\"ab\"", "\"b\""));
    }
}

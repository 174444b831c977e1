//! Uploads, scanning, trash and repair over real stores, with a clock and a scanner that the test controls.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use common::{LIMITS, MEGABYTE, World, end, field, file_head, form, once};
use files::domain::bucket::{object_path, staging_path};
use files::domain::{Status, eicar};
use files::pipeline::Round;
use files::store;
use futures::StreamExt as _;
use http::StatusCode;
use sha2::{Digest as _, Sha256};
use svc_stores::objects::{self, ObjectKey, ObjectStore as _};
use uuid::Uuid;

#[tokio::test]
async fn an_upload_becomes_available_with_what_is_known_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    let file =
        world.take(once(form("assets", "../März.png", "text/html", b"\x89PNG\r\n\x1a\nrest"))).await.unwrap();
    assert_eq!((file.status, file.filename.as_str()), (Status::Available, "März.png"));
    assert_eq!((file.mime_type.as_str(), file.size), ("image/png", 12));
    assert_eq!(file.sha256, hex::encode(Sha256::digest(b"\x89PNG\r\n\x1a\nrest")));
    assert_eq!((file.metadata["title"].as_str(), file.scanner.as_str()), ("A", "embedded-eicar"));
    assert_eq!(world.object_paths().await, [object_path(file.bucket, file.id)]);
    assert_eq!(world.events().await, ["files.file.available"]);
    let (_, content) = world.library.open(world.tenant, file.id).await.unwrap();
    assert_eq!(objects::collect(content).await.unwrap(), b"\x89PNG\r\n\x1a\nrest");
}

#[tokio::test]
async fn thirty_megabytes_flow_through_in_pieces() {
    const PIECE: usize = 64 * 1024;
    const PIECES: u64 = 480;

    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    let (produced, ahead) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (made, received, furthest) =
        (Arc::clone(&produced), Arc::clone(&world.objects.received), Arc::clone(&ahead));
    // Always ready: the worst case for whoever reads on before writing.
    let content = (0..PIECES).map(move |number| {
        let made = made.fetch_add(PIECE as u64, Ordering::SeqCst) + PIECE as u64;
        furthest.fetch_max(made - received.load(Ordering::SeqCst), Ordering::SeqCst);
        Ok(Bytes::from(vec![u8::try_from(number % 251).unwrap(); PIECE]))
    });
    let head = [field("bucket", "exports"), file_head("big.bin", "application/zip")].concat();
    let body = futures::stream::iter([Ok(Bytes::from(head))])
        .chain(futures::stream::iter(content))
        .chain(futures::stream::iter([Ok(Bytes::from(end()))]));
    let file = world.take(body).await.unwrap();
    assert_eq!((file.size, file.status), (PIECES * PIECE as u64, Status::Available));
    let largest = world.objects.largest_piece.load(Ordering::SeqCst);
    assert!(largest <= 4 * PIECE as u64, "a piece of {largest} bytes");
    let ahead = ahead.load(Ordering::SeqCst);
    assert!(ahead <= 5 * PIECE as u64, "{ahead} bytes were taken before they were written");
}

#[tokio::test]
async fn the_test_virus_is_rejected_and_nothing_of_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    let content = [b"some text before ".to_vec(), eicar::pattern()].concat();
    let problem = world.upload(&content).await.unwrap_err();
    assert_eq!((problem.slug(), problem.http_status()), ("file-rejected", StatusCode::UNPROCESSABLE_ENTITY));
    assert!(problem.detail_text().contains("EICAR"), "{}", problem.detail_text());
    assert!(world.object_paths().await.is_empty());
    assert_eq!(world.events().await, ["files.file.rejected"]);
    assert!(world.library.list(world.tenant, None, None, 10).await.unwrap().is_empty());
    assert!(store::doomed(&world.database, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn while_the_scanner_is_away_files_wait_unseen_and_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    world.scanner_is_away(true);
    let mut waiting = Vec::new();
    for _ in 0..LIMITS.pending {
        waiting.push(world.upload(b"x").await.unwrap());
    }
    assert!(waiting.iter().all(|file| file.status == Status::PendingScan && file.content_path().is_none()));
    let id = waiting[0].id;
    assert_eq!(world.library.get(world.tenant, id).await.unwrap_err().slug(), "not-found");
    assert_eq!(world.library.purge(world.tenant, id).await.unwrap_err().slug(), "not-found");
    let full = world.upload(b"x").await.unwrap_err();
    assert_eq!((full.slug(), full.http_status()), ("staging-full", StatusCode::SERVICE_UNAVAILABLE));

    assert_eq!(world.library.housekeep().await.unwrap(), Round { waiting: 3, ..Round::default() });
    world.scanner_is_away(false);
    assert_eq!(world.library.housekeep().await.unwrap(), Round { available: 3, ..Round::default() });
    assert_eq!(world.library.get(world.tenant, id).await.unwrap().status, Status::Available);
    assert!(world.upload(b"x").await.is_ok());
}

#[tokio::test]
async fn what_is_not_scanned_within_a_day_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    world.scanner_is_away(true);
    let file = world.upload(b"x").await.unwrap();
    world.pass_hours(23);
    assert_eq!(world.library.housekeep().await.unwrap(), Round { waiting: 1, ..Round::default() });
    world.pass_hours(1);
    assert_eq!(world.library.housekeep().await.unwrap(), Round { rejected: 1, ..Round::default() });
    let problem = world.library.get(world.tenant, file.id).await.unwrap_err();
    assert!(problem.detail_text().contains("24 hours"), "{}", problem.detail_text());
    assert!(world.object_paths().await.is_empty());
}

#[tokio::test]
async fn the_trash_keeps_a_file_for_thirty_days() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    let file = world.upload(b"x").await.unwrap();
    world.library.trash(world.tenant, file.id).await.unwrap();
    world.library.trash(world.tenant, file.id).await.unwrap();
    assert_eq!(world.library.get(world.tenant, file.id).await.unwrap().status, Status::Trashed);
    assert_eq!(world.library.open(world.tenant, file.id).await.err().unwrap().slug(), "not-found");
    assert!(world.library.list(world.tenant, None, None, 10).await.unwrap().is_empty());

    world.library.restore(world.tenant, file.id).await.unwrap();
    assert!(world.library.open(world.tenant, file.id).await.is_ok());
    let again = world.library.restore(world.tenant, file.id).await.unwrap_err();
    assert_eq!(again.slug(), "failed-precondition");

    world.library.trash(world.tenant, file.id).await.unwrap();
    world.pass_hours(30 * 24 - 1);
    assert_eq!(world.library.housekeep().await.unwrap(), Round::default());
    world.pass_hours(1);
    assert_eq!(world.library.housekeep().await.unwrap(), Round { purged: 1, ..Round::default() });
    assert_eq!(world.library.get(world.tenant, file.id).await.unwrap_err().slug(), "not-found");
    assert!(world.object_paths().await.is_empty());
    assert_eq!(
        world.events().await,
        ["available", "deleted", "available", "deleted", "deleted"].map(|verb| format!("files.file.{verb}"))
    );
}

#[tokio::test]
async fn forms_that_can_not_be_used_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    let content =
        |text: &str| [file_head("a", "text/plain"), text.as_bytes().to_vec(), b"\r\n".to_vec()].concat();
    let bucket = || field("bucket", "assets");
    let too_large = vec![b'x'; usize::try_from(LIMITS.upload).unwrap() + 1];
    let picture = [b"\xff\xd8\xff".to_vec(), vec![0; usize::try_from(MEGABYTE).unwrap()]].concat();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("no file", [bucket(), end()].concat(), "validation-error"),
        ("no bucket", [content("x"), end()].concat(), "validation-error"),
        (
            "staging is no bucket",
            [field("bucket", "staging"), content("x"), end()].concat(),
            "validation-error",
        ),
        (
            "a bucket that comes last",
            [content("x"), field("bucket", "no"), end()].concat(),
            "validation-error",
        ),
        ("two files", [bucket(), content("x"), content("y"), end()].concat(), "validation-error"),
        ("metadata", [field("metadata", "[]"), bucket(), content("x"), end()].concat(), "validation-error"),
        (
            "an unknown field",
            [field("tenant", "x"), bucket(), content("x"), end()].concat(),
            "validation-error",
        ),
        ("cut off", [bucket(), file_head("a", "text/plain"), b"half".to_vec()].concat(), "validation-error"),
        ("no form", b"hello".to_vec(), "validation-error"),
        ("an endless head", form("assets", &"a".repeat(3 << 20), "text/plain", b"x"), "validation-error"),
        ("an endless beginning", vec![b'-'; 3 << 20], "validation-error"),
        ("too large", form("assets", "a", "text/plain", &too_large), "payload-too-large"),
        ("a large picture", form("assets", "a", "text/plain", &picture), "payload-too-large"),
    ];
    for (name, body, slug) in cases {
        let pieces: Vec<_> = body.chunks(64 * 1024).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let problem = world.take(futures::stream::iter(pieces)).await.expect_err(name);
        assert_eq!(problem.slug(), slug, "{name}: {problem}");
        assert!(world.object_paths().await.is_empty(), "{name}");
    }
    // Nothing counts as on its way any more.
    for _ in 0..LIMITS.pending {
        world.upload(b"x").await.unwrap();
    }
    assert!(world.upload(b"").await.is_ok(), "an empty file is a file");
}

#[tokio::test]
async fn the_fields_may_come_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    let body =
        [file_head("a.csv", "text/csv"), b"a,b\r\n".to_vec(), field("bucket", "exports"), end()].concat();
    // One byte at a time, so that borders are cut everywhere.
    let bytes: Vec<_> = body.iter().map(|byte| Ok(Bytes::copy_from_slice(&[*byte]))).collect();
    let file = world.take(futures::stream::iter(bytes)).await.unwrap();
    assert_eq!((file.mime_type.as_str(), file.bucket.as_str(), file.size), ("text/csv", "exports", 3));
}

#[tokio::test]
async fn tenants_do_not_see_each_others_files() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    let file = world.upload(b"ours").await.unwrap();
    let stranger = Uuid::now_v7();
    assert_eq!(world.library.get(stranger, file.id).await.unwrap_err().slug(), "not-found");
    assert_eq!(world.library.open(stranger, file.id).await.err().unwrap().slug(), "not-found");
    assert_eq!(world.library.trash(stranger, file.id).await.unwrap_err().slug(), "not-found");
    assert_eq!(world.library.purge(stranger, file.id).await.unwrap_err().slug(), "not-found");
    assert!(world.library.list(stranger, None, None, 10).await.unwrap().is_empty());
    assert_eq!(world.library.list(world.tenant, None, None, 10).await.unwrap().len(), 1);
}

/// What a crash between any two steps leaves, and what the next start makes of it.
#[tokio::test]
async fn every_crash_is_repaired_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let before = World::open(folder.path()).await;
    let tenant = before.tenant;
    let key = |path: &str| ObjectKey::tenant(tenant, path).unwrap();

    before.scanner_is_away(true);
    let staged = before.upload(b"staged").await.unwrap();
    let moved = before.upload(b"moved").await.unwrap();
    let place = object_path(moved.bucket, moved.id);
    before.objects.rename(&key(&staging_path(moved.id)), &key(&place)).await.unwrap();
    let lost = before.upload(b"lost").await.unwrap();
    before.objects.delete(&key(&staging_path(lost.id))).await.unwrap();
    // An upload that never became a file, with its object.
    let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let broken = Uuid::now_v7();
    assert!(store::reserve(&before.database, tenant, broken, now, 10).await.unwrap());
    before.objects.put(&key(&staging_path(broken)), objects::once("half"), 10).await.unwrap();
    // A file deleted for good whose object is still there.
    let mut transaction = before.database.tenant(tenant).begin().await.unwrap();
    store::doom(&mut transaction, "documents/gone").await.unwrap();
    transaction.commit().await.unwrap();
    before.objects.put(&key("documents/gone"), objects::once("gone"), 10).await.unwrap();
    drop(before);

    let after = World::open(folder.path()).await;
    after.pass_hours(2);
    let round = after.library.housekeep().await.unwrap();
    assert_eq!(round, Round { available: 2, rejected: 1, abandoned: 1, ..Round::default() });
    for (id, text) in [(staged.id, "staged"), (moved.id, "moved")] {
        let (_, content) = after.library.open(tenant, id).await.unwrap();
        assert_eq!(objects::collect(content).await.unwrap(), text.as_bytes());
    }
    assert_eq!(after.library.get(tenant, lost.id).await.unwrap_err().slug(), "file-rejected");
    let mut expected = [object_path(staged.bucket, staged.id), object_path(moved.bucket, moved.id)];
    expected.sort();
    assert_eq!(after.object_paths().await, expected);
    assert_eq!(after.library.housekeep().await.unwrap(), Round::default(), "nothing is left to do");
}

#[tokio::test]
async fn a_file_that_two_scan_at_once_becomes_available_once() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    world.scanner_is_away(true);
    world.upload(b"x").await.unwrap();
    world.scanner_is_away(false);
    let (one, two) = tokio::join!(world.library.housekeep(), world.library.housekeep());
    assert!(one.unwrap().rejected + two.unwrap().rejected == 0);
    assert_eq!(world.events().await, ["files.file.available"]);
    assert_eq!(world.object_paths().await.len(), 1);
}

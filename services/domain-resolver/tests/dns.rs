//! Public DNS against a name server that does what the test tells it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;

use domain_resolver::dns::Dns;
use domain_resolver::domain::{Hostname, Records, Token};
use domain_resolver::lookup::{Lookup as _, LookupError};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

type Zone = Arc<dyn Fn(&str, RecordType) -> Result<Vec<RData>, ResponseCode> + Send + Sync>;

/// Answers from `zone` until the test ends.
async fn serve(zone: Zone) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
            let mut answer = Message::from_vec(&buffer[..length]).unwrap().into_response();
            let question = answer.queries[0].clone();
            let name = question.name().to_ascii().to_ascii_lowercase();
            match zone(&name, question.query_type()) {
                Ok(found) => {
                    let records = found.into_iter();
                    answer.add_answers(
                        records.map(|data| Record::from_rdata(question.name().clone(), 300, data)),
                    );
                }
                Err(code) => answer.metadata.response_code = code,
            }
            socket.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
        }
    });
    address
}

async fn records(zone: Zone) -> Result<Records, LookupError> {
    let dns = Dns::at(serve(zone).await).unwrap();
    let hostname = Hostname::parse("shop.acme.com").unwrap();
    dns.records(&hostname, &Token::from_stored("t")).await
}

#[tokio::test]
async fn both_records_are_found_under_their_full_names() {
    let found = records(Arc::new(|name, kind| match (name, kind) {
        ("shop.acme.com.", RecordType::CNAME) => {
            Ok(vec![RData::CNAME(CNAME(Name::from_ascii("Custom.Platform.io.").unwrap()))])
        }
        // One text in two pieces, as long ones are, and one that is not about us.
        ("_platform-verify.shop.acme.com.", RecordType::TXT) => Ok(vec![
            RData::TXT(TXT::new(vec!["verify-".to_owned(), "t".to_owned()])),
            RData::TXT(TXT::new(vec!["v=spf1 -all".to_owned()])),
        ]),
        _ => Err(ResponseCode::NXDomain),
    }))
    .await
    .unwrap();
    assert!(found.cname[0].eq_ignore_ascii_case("custom.platform.io."), "{:?}", found.cname);
    assert_eq!(found.txt, ["verify-t", "v=spf1 -all"]);
}

#[tokio::test]
async fn a_name_without_records_is_an_answer() {
    let nothing = |code| {
        records(Arc::new(move |_, _| if code == ResponseCode::NoError { Ok(vec![]) } else { Err(code) }))
    };
    for code in [ResponseCode::NXDomain, ResponseCode::NoError] {
        assert_eq!(nothing(code).await.unwrap(), Records::default(), "{code}");
    }
}

#[tokio::test]
async fn a_server_that_fails_is_none() {
    for code in [ResponseCode::ServFail, ResponseCode::Refused] {
        let error = records(Arc::new(move |_, _| Err(code))).await.unwrap_err();
        assert!(matches!(error, LookupError::Unavailable(_)), "{code}: {error}");
    }
}

#[tokio::test]
async fn a_record_that_was_just_set_is_seen_at_once() {
    let set = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let zone = Arc::clone(&set);
    let address = serve(Arc::new(move |_, kind| match kind {
        RecordType::TXT if zone.load(std::sync::atomic::Ordering::SeqCst) => {
            Ok(vec![RData::TXT(TXT::new(vec!["verify-t".to_owned()]))])
        }
        _ => Err(ResponseCode::NXDomain),
    }))
    .await;
    let dns = Dns::at(address).unwrap();
    let hostname = Hostname::parse("shop.acme.com").unwrap();
    let token = Token::from_stored("t");
    assert_eq!(dns.records(&hostname, &token).await.unwrap(), Records::default());
    set.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(dns.records(&hostname, &token).await.unwrap().txt, ["verify-t"]);
}

//! Mail to a server that speaks just enough SMTP to refuse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::{Arc, Mutex};

use notify::Notify;
use svc_api::notify::v1::notify_service_client::NotifyServiceClient;
use svc_api::notify::v1::*;
use svc_kit::Problem;
use svc_testkit::{CallerChannel, TestCaller, TestService, wait_for};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Takes every mail but those to `nobody@…` and `busy@…`.
struct Server {
    url: String,
    mails: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let mails = Arc::default();
        let kept = Arc::clone(&mails);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                tokio::spawn(async move { serve(stream, &kept).await });
            }
        });
        Server { url, mails }
    }
}

async fn serve(stream: TcpStream, mails: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 test\r\n").await?;
    let mut line = String::new();
    while {
        line.clear();
        stream.read_line(&mut line).await? > 0
    } {
        let command = line.to_lowercase();
        let answer: &[u8] = match command.split_whitespace().next().unwrap_or_default() {
            "ehlo" => b"250-test\r\n250 8BITMIME\r\n",
            "rcpt" if command.contains("nobody@") => b"550 no such mailbox\r\n",
            "rcpt" if command.contains("busy@") => b"451 later\r\n",
            "data" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut mail).await?;
                }
                mails.lock().unwrap().push(mail);
                b"250 taken\r\n"
            }
            _ => b"250 fine\r\n",
        };
        stream.write_all(answer).await?;
    }
    Ok(())
}

async fn tried(client: &mut NotifyServiceClient<CallerChannel>, recipient: &str) -> Notification {
    let request = SendRequest {
        channel: "email".to_owned(),
        recipient: recipient.to_owned(),
        subject: "Déjà vu\r\nBcc: eve@example.org".to_owned(),
        body: "Dear Ada,\n.\nit is done.".to_owned(),
        ..Default::default()
    };
    let id = client.send(request).await.unwrap().into_inner().notification_id;
    wait_for("an attempt", || {
        let (mut client, id) = (client.clone(), id.clone());
        async move {
            let found = client.get_notification(GetNotificationRequest { id }).await.unwrap().into_inner();
            (found.attempts > 0).then_some(found)
        }
    })
    .await
}

#[tokio::test]
async fn a_mail_goes_to_the_server_and_its_answer_decides() {
    let server = Server::start().await;
    let variables = [("SMTP_URL", server.url.as_str()), ("SMTP_FROM", "Acme <no-reply@acme.example>")];
    let service = TestService::<Notify>::start_with(variables).await;
    let mut client = NotifyServiceClient::new(service.channel(&TestCaller::owner()));

    let sent = tried(&mut client, "ada@example.org").await;
    assert_eq!((sent.status.as_str(), sent.last_error.as_str()), ("delivered", ""));
    let mail = server.mails.lock().unwrap().pop().unwrap();
    for line in ["From: Acme <no-reply@acme.example>\r\n", "To: ada@example.org\r\n", "it is done."] {
        assert!(mail.contains(line), "{line} in {mail}");
    }
    assert!(mail.contains(&format!("Message-ID: <{}@acme.example>", sent.id)), "{mail}");
    assert!(!mail.contains("\r\nBcc:"), "a subject adds no header: {mail}");

    let nobody = tried(&mut client, "nobody@example.org").await;
    assert_eq!((nobody.status.as_str(), nobody.attempts), ("failed", 1), "{}", nobody.last_error);
    let busy = tried(&mut client, "busy@example.org").await;
    assert_eq!(
        (busy.status.as_str(), busy.next_attempt_at.is_some()),
        ("queued", true),
        "{}",
        busy.last_error
    );

    let two = SendRequest {
        channel: "email".to_owned(),
        recipient: "ada@example.org, eve@example.org".to_owned(),
        body: "hi".to_owned(),
        ..Default::default()
    };
    let refused = client.send(two).await.unwrap_err();
    assert_eq!(Problem::from_status(&refused).violation_list()[0].field, "recipient");
}

//! One WebSocket connection: who it is, what it listens to, and when it ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::{Router, routing::get};
use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use svc_api::iam::v1::ValidateTokenRequest;
use svc_api::iam::v1::internal_service_client::InternalServiceClient;
use svc_clients::Neighbour;
use svc_kit::{Problem, Shutdown, http_problem};
use svc_stores::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tonic::Code;
use uuid::Uuid;

use super::{Listener, Push, Pushes};
use crate::domain::push::{
    CHANNELS_LIMIT, ClientFrame, FRAME_LIMIT, auth_ok, may_listen, pong, refusal, subscribe_ok,
    unsubscribe_ok,
};

/// How long a client may take to say who it is.
const AUTHENTICATED_WITHIN: Duration = Duration::from_secs(5);
/// How long a client may take to read one frame.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// How often a silent client is asked whether it is there; one that said nothing twice is gone.
const ASKED_EVERY: Duration = Duration::from_secs(30);
/// How many connections one instance holds.
const CONNECTIONS: usize = 10_000;

/// Who says who it is.
const UNAUTHENTICATED: u16 = 4401;
const GOING_AWAY: u16 = 1001;
const TOO_BIG: u16 = 1009;
const TRY_AGAIN: u16 = 1013;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What a connection needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door {
    pushes: Pushes,
    iam: Neighbour,
    draining: Shutdown,
    places: Arc<Semaphore>,
}

impl Door {
    /// A door at which iam says whose a token is.
    pub fn new(pushes: Pushes, iam: Neighbour, draining: Shutdown) -> Self {
        Self { pushes, iam, draining, places: Arc::new(Semaphore::new(CONNECTIONS)) }
    }
}

/// The route of the WebSocket.
pub(crate) fn router(door: Door) -> Router {
    Router::new().route("/v1/ws", get(open)).with_state(door)
}

async fn open(State(door): State<Door>, mut request: Request) -> Response {
    let Ok(answer) = create_response_with_body(&request, Body::empty) else {
        let detail = "This route speaks WebSocket, version 13. Connect with a WebSocket client.";
        return http_problem(&Problem::invalid(detail));
    };
    let Ok(place) = door.places.clone().try_acquire_owned() else {
        return http_problem(&Problem::unavailable("Too many connections are open. Try again later."));
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => serve(&door, upgraded, place).await,
            Err(error) => tracing::debug!(%error, "a connection did not become a WebSocket"),
        }
    });
    answer
}

async fn serve(door: &Door, upgraded: Upgraded, _place: OwnedSemaphorePermit) {
    let limits =
        WebSocketConfig::default().max_message_size(Some(FRAME_LIMIT)).max_frame_size(Some(FRAME_LIMIT));
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits)).await;
    let End::Because(code, reason) = talk(door, &mut socket).await else { return };
    let close = CloseFrame { code: code.into(), reason: reason.into() };
    // The other side may be gone; then nobody reads it.
    let _ = tokio::time::timeout(READ_WITHIN, socket.close(Some(close))).await;
}

/// How a conversation ends.
enum End {
    /// The other side left.
    Left,
    /// We end it.
    Because(u16, &'static str),
}

/// Who is connected.
struct Identity {
    tenant: Uuid,
    user: Uuid,
    until: Option<Instant>,
}

async fn talk(door: &Door, socket: &mut Socket) -> End {
    match converse(door, socket).await {
        Ok(never) | Err(never) => never,
    }
}

async fn converse(door: &Door, socket: &mut Socket) -> Result<End, End> {
    let late = End::Because(UNAUTHENTICATED, "the first frame must be auth, within 5 seconds");
    let first = tokio::select! {
        () = door.draining.requested() => return Err(End::Because(GOING_AWAY, "the service stops")),
        first = tokio::time::timeout(AUTHENTICATED_WITHIN, next_text(socket)) => first.map_err(|_| late)??,
    };
    let Ok(ClientFrame::Auth { token }) = ClientFrame::read(&first) else {
        return Err(End::Because(UNAUTHENTICATED, "the first frame must be auth, within 5 seconds"));
    };
    let identity = identify(door, token).await?;
    say(socket, &auth_ok(identity.tenant, identity.user)).await?;
    let (listener, pushed) = door.pushes.connect(TenantId::new(identity.tenant));
    let connection = Connection { listener, pushed, user: identity.user, seen: HashMap::new() };
    connection.run(socket, &door.draining, identity.until).await
}

async fn identify(door: &Door, token: String) -> Result<Identity, End> {
    let request = ValidateTokenRequest { token };
    let ask = |channel| {
        let request = request.clone();
        async move { InternalServiceClient::new(channel).validate_token(request).await }
    };
    let reply = door.iam.idempotent(ask).await.map_err(|status| match status.code() {
        Code::Unauthenticated | Code::InvalidArgument => {
            End::Because(UNAUTHENTICATED, "the token is not valid")
        }
        code => {
            tracing::warn!(?code, message = status.message(), "iam cannot say whose a token is");
            End::Because(TRY_AGAIN, "tokens cannot be checked now; try again later")
        }
    })?;
    let unclear = |_| End::Because(UNAUTHENTICATED, "the token names no user of a tenant");
    Ok(Identity {
        tenant: reply.tenant_id.parse().map_err(unclear)?,
        user: reply.user_id.parse().map_err(unclear)?,
        until: reply.expires_at.map(|end| {
            let left = end.seconds.saturating_sub(jiff::Timestamp::now().as_second());
            Instant::now() + Duration::from_secs(u64::try_from(left).unwrap_or(0))
        }),
    })
}

struct Connection {
    listener: Listener,
    pushed: mpsc::Receiver<Push>,
    user: Uuid,
    /// Per channel, what is settled.
    seen: HashMap<String, i64>,
}

impl Connection {
    async fn run(
        mut self,
        socket: &mut Socket,
        draining: &Shutdown,
        until: Option<Instant>,
    ) -> Result<End, End> {
        let mut asked = tokio::time::interval(ASKED_EVERY);
        asked.set_missed_tick_behavior(MissedTickBehavior::Delay);
        asked.tick().await;
        let mut unanswered = 0_u32;
        loop {
            let expired = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = draining.requested() => return Ok(End::Because(GOING_AWAY, "the service stops")),
                () = expired => return Ok(End::Because(UNAUTHENTICATED, "the token has ended")),
                push = self.pushed.recv() => match push {
                    Some(push) => self.pass_on(socket, push).await?,
                    None => return Ok(End::Because(TRY_AGAIN, "too slow; connect again and subscribe with after")),
                },
                frame = next(socket) => {
                    unanswered = 0;
                    if let Some(text) = frame? {
                        self.hear(socket, &text).await?;
                    }
                }
                _ = asked.tick() => {
                    if unanswered >= 2 {
                        return Ok(End::Left);
                    }
                    unanswered += 1;
                    send(socket, Message::Ping(Vec::new().into())).await?;
                }
            }
        }
    }

    async fn pass_on(&mut self, socket: &mut Socket, push: Push) -> Result<(), End> {
        match self.seen.get_mut(&push.channel) {
            Some(seen) if push.sequence > *seen => {
                *seen = push.sequence;
                send(socket, Message::text(push.frame)).await
            }
            // Sent again already, or the subscription has ended.
            _ => Ok(()),
        }
    }

    async fn hear(&mut self, socket: &mut Socket, text: &str) -> Result<(), End> {
        let answer = match ClientFrame::read(text) {
            Ok(ClientFrame::Subscribe { channel, after }) => {
                return self.subscribe(socket, channel, after).await;
            }
            Ok(ClientFrame::Unsubscribe { channel }) => {
                self.listener.unsubscribe(&channel);
                self.seen.remove(&channel);
                unsubscribe_ok(&channel)
            }
            Ok(ClientFrame::Ping) => pong(),
            Ok(ClientFrame::Auth { .. }) => refusal("already-authenticated", "this connection has a user"),
            Err(problem) => refusal("invalid-frame", &problem),
        };
        say(socket, &answer).await
    }

    async fn subscribe(
        &mut self,
        socket: &mut Socket,
        channel: String,
        after: Option<Uuid>,
    ) -> Result<(), End> {
        if let Err((code, message)) = may_listen(self.user, &channel) {
            return say(socket, &refusal(code, message)).await;
        }
        if self.listener.channels() >= CHANNELS_LIMIT && !self.listener.listens_to(&channel) {
            let message = format!("one connection listens to at most {CHANNELS_LIMIT} channels");
            return say(socket, &refusal("too-many-channels", &message)).await;
        }
        let beginning = match self.listener.subscribe(&channel, after).await {
            Ok(beginning) => beginning,
            Err(error) => {
                tracing::warn!(%error, "what was pushed before cannot be read");
                self.listener.unsubscribe(&channel);
                return say(socket, &refusal("unavailable", "try again")).await;
            }
        };
        // What waits for a subscription that goes on is still to be passed on.
        let known = self.seen.get(&channel).copied().filter(|_| after.is_none());
        self.seen.insert(channel.clone(), known.unwrap_or(beginning.seen));
        say(socket, &subscribe_ok(&channel, beginning.missed.len(), beginning.complete)).await?;
        for push in beginning.missed {
            send(socket, Message::text(push.frame)).await?;
        }
        Ok(())
    }
}

/// The next text, past whatever is none.
async fn next_text(socket: &mut Socket) -> Result<String, End> {
    loop {
        if let Some(text) = next(socket).await? {
            return Ok(text);
        }
    }
}

/// What the client says next; nothing when it only shows that it is there.
async fn next(socket: &mut Socket) -> Result<Option<String>, End> {
    match socket.next().await {
        Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
        Some(Ok(Message::Binary(_))) => Err(End::Because(1003, "frames are JSON texts")),
        Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed)) | None => Err(End::Left),
        Some(Ok(_)) => Ok(None),
        Some(Err(Error::Capacity(_))) => Err(End::Because(TOO_BIG, "a frame has at most 4096 bytes")),
        Some(Err(error)) => {
            tracing::debug!(%error, "a WebSocket broke off");
            Err(End::Left)
        }
    }
}

async fn say(socket: &mut Socket, frame: &Value) -> Result<(), End> {
    send(socket, Message::text(frame.to_string())).await
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), End> {
    match tokio::time::timeout(READ_WITHIN, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(End::Left),
    }
}

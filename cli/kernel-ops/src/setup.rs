//! `setup`: makes the Platform Owner by iam's internal RPC. The one role that no REST route can give.

use std::time::Duration;

use kernel_core::exit::ExitCode;
use kernel_core::secret::Secret;
use serde::Serialize;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

use crate::codes;
use crate::failure::{Failure, problem};

const METHOD: &str = "/platform.iam.v1.InternalService/SetupPlatformOwner";
const ANSWER_TIME: Duration = Duration::from_secs(20);

/// Who becomes Platform Owner, and who is asked.
#[derive(Clone, Debug)]
pub struct SetupSettings {
    /// Where iam answers gRPC.
    pub iam: String,
    /// What services know each other by.
    pub internal_token: Secret,
    /// The address.
    pub email: String,
    /// The password.
    pub password: Secret,
    /// The person's name; may be empty.
    pub name: String,
}

/// The Platform Owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// `kernel.setup/v1`.
    pub schema: &'static str,
    /// The user's id.
    pub user: String,
    /// The address.
    pub email: String,
    /// The platform's own tenant.
    pub tenant: String,
}

// The messages as far as they are needed here: `cli` and `services` meet over the wire only.
#[derive(Clone, PartialEq, prost::Message)]
struct SetupPlatformOwnerRequest {
    #[prost(string, tag = "1")]
    email: String,
    #[prost(string, tag = "2")]
    password: String,
    #[prost(string, tag = "3")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SetupPlatformOwnerReply {
    #[prost(message, optional, tag = "1")]
    user: Option<User>,
    #[prost(message, optional, tag = "2")]
    tenant: Option<Tenant>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct User {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    email: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Tenant {
    #[prost(string, tag = "1")]
    id: String,
}

/// Makes the Platform Owner.
///
/// # Errors
/// When iam does not answer, or refuses: there is one already, or the password is too short.
pub async fn setup(settings: &SetupSettings) -> Result<Owner, Failure> {
    let endpoint = Endpoint::from_shared(settings.iam.clone())
        .map_err(|error| unreachable(&settings.iam, &error.to_string()))?
        .connect_timeout(ANSWER_TIME)
        .timeout(ANSWER_TIME);
    let channel = endpoint.connect().await.map_err(|error| unreachable(&settings.iam, &error.to_string()))?;
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| unreachable(&settings.iam, &error.to_string()))?;
    let mut request = Request::new(SetupPlatformOwnerRequest {
        email: settings.email.clone(),
        password: settings.password.expose().to_owned(),
        name: settings.name.clone(),
    });
    let mut token: MetadataValue<Ascii> = settings.internal_token.expose().parse().map_err(|_| {
        refused("INTERNAL_TOKEN holds characters that no header may have", "make it of letters and digits")
    })?;
    token.set_sensitive(true);
    request.metadata_mut().insert("x-internal-token", token);
    let codec = tonic_prost::ProstCodec::<SetupPlatformOwnerRequest, SetupPlatformOwnerReply>::default();
    let answer = client.unary(request, PathAndQuery::from_static(METHOD), codec).await;
    let reply = answer.map_err(|status| judge(&settings.iam, &status))?.into_inner();
    let user = reply.user.unwrap_or_default();
    Ok(Owner {
        schema: "kernel.setup/v1",
        user: user.id,
        email: user.email,
        tenant: reply.tenant.unwrap_or_default().id,
    })
}

fn judge(address: &str, status: &Status) -> Failure {
    let message = format!("the Platform Owner was not made: {}", status.message());
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded => unreachable(address, status.message()),
        Code::AlreadyExists => {
            refused(&message, "sign in as that owner, or start with fresh data: `kernel down --volumes`")
        }
        Code::InvalidArgument => {
            refused(&message, "correct the address or the password: at least 12 characters")
        }
        Code::Unauthenticated | Code::PermissionDenied => Failure::new(
            ExitCode::Permission,
            problem(
                codes::SETUP_REFUSED,
                message,
                "run it in the workspace that the platform was started from",
            ),
        ),
        code => refused(&format!("{message} ({code:?})"), "`kernel logs iam` shows more"),
    }
}

fn refused(message: &str, help: &str) -> Failure {
    Failure::new(ExitCode::Failed, problem(codes::SETUP_REFUSED, message, help))
}

fn unreachable(address: &str, reason: &str) -> Failure {
    let message = format!("iam does not answer at {address}: {reason}");
    Failure::new(
        ExitCode::Prerequisite,
        problem(codes::UNREACHABLE, message, "start the platform first: `kernel up`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_platform_the_failure_says_how_to_start_one() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let iam = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let settings = SetupSettings {
            iam,
            internal_token: Secret::new("t"),
            email: "a@b.example".to_owned(),
            password: Secret::new("p"),
            name: String::new(),
        };
        let failure = setup(&settings).await.unwrap_err();
        assert_eq!(failure.exit, ExitCode::Prerequisite);
        assert_eq!(failure.problems[0].code, codes::UNREACHABLE.0);
        assert!(failure.problems[0].help.as_deref().unwrap_or_default().contains("kernel up"));
    }

    #[test]
    fn what_iam_says_decides_what_to_do() {
        let exit = |code| judge("http://iam", &Status::new(code, "no")).exit;
        assert_eq!(exit(Code::AlreadyExists), ExitCode::Failed);
        assert_eq!(exit(Code::Unauthenticated), ExitCode::Permission);
        assert_eq!(exit(Code::Unavailable), ExitCode::Prerequisite);
    }
}

//! A neighbour: where it is, how long to wait for it, how often to try.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use rand::Rng as _;
use svc_kit::{Context, Metrics, NeighbourUrl, RequestContext, Secret};
use tonic::{Code, Status, transport::Endpoint};

use crate::Outgoing;

/// How patient calls are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// For a call as a whole, with its retries. The deadline of the request that it belongs to may be nearer.
    pub deadline: Duration,
    /// How often an idempotent call is made at most.
    pub attempts: u32,
    /// The longest pause before the second attempt; it doubles with each. The actual pause is random below it.
    pub pause: Duration,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { deadline: Duration::from_secs(5), attempts: 3, pause: Duration::from_millis(100) }
    }
}

/// Another service of the platform. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Neighbour {
    name: &'static str,
    outgoing: Outgoing,
    metrics: Option<Metrics>,
    policy: Policy,
}

impl Neighbour {
    /// A neighbour by the name that metrics use. Nothing is connected before the first call.
    pub fn new(name: &'static str, url: &NeighbourUrl, context: &Context) -> Neighbour {
        let mut neighbour = Neighbour::outside(name, url, context.internal_token().clone());
        neighbour.metrics = Some(context.metrics().clone());
        neighbour
    }

    /// A neighbour as seen by a program that is no service itself.
    pub fn outside(name: &'static str, url: &NeighbourUrl, internal_token: Secret) -> Neighbour {
        let channel = Endpoint::from(url.uri().clone())
            .connect_timeout(Duration::from_secs(1))
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(5))
            .tcp_nodelay(true)
            .connect_lazy();
        let outgoing = Outgoing::new(channel, &internal_token);
        Neighbour { name, outgoing, metrics: None, policy: Policy::default() }
    }

    /// The same neighbour, treated with other patience.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Neighbour {
        self.policy = policy;
        self
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// A channel for a generated client whose calls are to be made as they are, such as a long stream. Everything
    /// travels along, but there is no deadline and no retry.
    pub fn channel(&self) -> Outgoing {
        self.outgoing.clone()
    }

    /// Makes a call once, because making it twice might do something twice.
    ///
    /// # Errors
    ///
    /// What the neighbour answered; `DEADLINE_EXCEEDED` when it did not in time.
    pub async fn once<T, F>(&self, call: impl Fn(Outgoing) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        self.attempt(1, call).await
    }

    /// Makes a call that may be repeated, and repeats it while the neighbour is `UNAVAILABLE` and time is left.
    ///
    /// # Errors
    ///
    /// As [`Neighbour::once`], of the last attempt.
    pub async fn idempotent<T, F>(&self, call: impl Fn(Outgoing) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        self.attempt(self.policy.attempts, call).await
    }

    async fn attempt<T, F>(&self, attempts: u32, call: impl Fn(Outgoing) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let start = Instant::now();
        let mut deadline = tokio::time::Instant::now() + self.policy.deadline;
        if let Some(request) = RequestContext::current().and_then(|context| context.deadline) {
            deadline = deadline.min(request);
        }
        let answer = tokio::time::timeout_at(deadline, self.repeat(attempts, deadline, call)).await;
        if let Some(metrics) = &self.metrics {
            metrics.grpc_call(self.name, start.elapsed());
        }
        let late = match &answer {
            Err(_) => true,
            // tonic watches the deadline too and calls its passing a cancellation. Its clock rounds to milliseconds.
            Ok(Err(status)) => {
                let almost = tokio::time::Instant::now() + Duration::from_millis(2);
                status.code() == Code::Cancelled && almost >= deadline
            }
            Ok(Ok(_)) => false,
        };
        match answer {
            Ok(answer) if !late => answer,
            _ => {
                let waited = start.elapsed().as_millis();
                Err(Status::deadline_exceeded(format!("{} did not answer within {waited} ms", self.name)))
            }
        }
    }

    async fn repeat<T, F>(
        &self,
        attempts: u32,
        deadline: tokio::time::Instant,
        call: impl Fn(Outgoing) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let mut ceiling = self.policy.pause;
        let mut attempt = 1;
        loop {
            match call(self.outgoing.clone().until(deadline)).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) if status.code() == Code::Unavailable && attempt < attempts => {
                    let pause = ceiling.mul_f64(rand::rng().random_range(0.0..1.0));
                    let neighbour = self.name;
                    tracing::debug!(neighbour, attempt, ?pause, message = status.message(), "retrying");
                    tokio::time::sleep(pause).await;
                    ceiling *= 2;
                    attempt += 1;
                }
                Err(status) => return Err(status),
            }
        }
    }
}

//! What a service answers on its one port, and who may call it.

use std::{convert::Infallible, future::Future, io, pin::Pin};

use axum::{Router, extract::Request, response::IntoResponse};
use http::HeaderMap;
use tonic::{body::Body, server::NamedService};
use tower::{Service as TowerService, ServiceExt as _};

use crate::tasks::Shutdown;

type Serve = Box<dyn FnOnce(Router, Shutdown) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>> + Send>;

/// Decides by the headers whether somebody may see the components.
pub(crate) type Admit = Box<dyn Fn(&HeaderMap) -> bool + Send + Sync>;

/// The routes of a service. Health, readiness, metrics, gRPC health and reflection are added by the chassis.
#[derive(Default)]
pub struct Routes {
    /// Only for callers that carry the internal token.
    pub(crate) guarded: Router,
    /// For everybody.
    pub(crate) open: Router,
    /// For everybody, when nothing else matches.
    pub(crate) fallback: Option<Router>,
    /// The gRPC services, for health and reflection.
    pub(crate) names: Vec<&'static str>,
    pub(crate) admit_to_health: Option<Admit>,
    pub(crate) more_listeners: Vec<(String, Serve)>,
}

impl Routes {
    /// No routes yet.
    pub fn new() -> Routes {
        Routes::default()
    }

    /// A gRPC service, such as `WalletServiceServer::new(…)`. Calls must carry the internal token.
    #[must_use]
    pub fn grpc<S>(mut self, service: S) -> Routes
    where
        S: TowerService<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.guarded = mount(self.guarded, service);
        self.names.push(S::NAME);
        self
    }

    /// Raw HTTP routes that the gateway passes through. Calls must carry the internal token.
    #[must_use]
    pub fn http(mut self, router: Router) -> Routes {
        self.guarded = self.guarded.merge(router);
        self
    }

    /// Raw HTTP routes that anybody on the network may call, such as a key set or a provider's webhook.
    #[must_use]
    pub fn public_http(mut self, router: Router) -> Routes {
        self.open = self.open.merge(router);
        self
    }

    /// What answers every path that nothing else does, for anybody. Only the gateway has a use for this.
    #[must_use]
    pub fn fallback(mut self, router: Router) -> Routes {
        self.fallback = Some(router);
        self
    }

    /// Lets callers see `/health` that have no internal token but pass this test, such as one for an admin's JWT.
    #[must_use]
    pub fn admit_to_health(mut self, test: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static) -> Routes {
        self.admit_to_health = Some(Box::new(test));
        self
    }

    /// Serves everything on one more listener, such as one that speaks TLS. It is drained like the first.
    #[must_use]
    pub fn also_on<L>(mut self, name: impl Into<String>, listener: L) -> Routes
    where
        L: axum::serve::Listener,
        L::Addr: std::fmt::Debug + Clone + Sync + 'static,
    {
        let serve: Serve = Box::new(move |router, shutdown| {
            let stop = async move { shutdown.requested().await };
            // The address of the peer is known only of a listener that is tapped.
            let listener = axum::serve::ListenerExt::tap_io(listener, |_| {});
            let router = router.into_make_service_with_connect_info::<L::Addr>();
            Box::pin(async move { axum::serve(listener, router).with_graceful_shutdown(stop).await })
        });
        self.more_listeners.push((name.into(), serve));
        self
    }
}

/// Adds a gRPC service under its name.
pub(crate) fn mount<S>(router: Router, service: S) -> Router
where
    S: TowerService<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    let service = service.map_request(|request: Request| request.map(Body::new));
    router.route_service(&format!("/{}/{{*method}}", S::NAME), service)
}

//! What the gateway says about itself, as a service like any other.

use std::sync::Arc;

use svc_api::gateway::v1::{
    ListRoutesReply, ListRoutesRequest, ListUpstreamsReply, ListUpstreamsRequest, RouteInfo,
    Upstream as UpstreamInfo, gateway_service_server::GatewayService,
};
use tonic::{Request, Response, Status};

use crate::{
    breaker::Breaker,
    routes::{Policy, RouteTable, Target},
    upstream::Upstream,
};

/// The routes and the upstreams, as they were when the gateway was built, with the breakers as they are now.
#[derive(Clone)]
pub struct Own(Arc<Inner>);

struct Inner {
    routes: Vec<RouteInfo>,
    upstreams: Vec<(UpstreamInfo, Arc<Breaker>)>,
}

impl Own {
    /// Describes these.
    pub fn new<'u>(table: &RouteTable, upstreams: impl IntoIterator<Item = &'u Upstream>) -> Own {
        let mut routes: Vec<RouteInfo> = table
            .iter()
            .map(|route| RouteInfo {
                method: route.method.to_string(),
                path: route.path.clone(),
                rpc: match &route.target {
                    Target::Rpc(rpc) => rpc.path.as_str().trim_start_matches('/').to_owned(),
                    Target::Raw => String::new(),
                },
                permission: match &route.policy {
                    Policy::Permission(permission) => permission.clone(),
                    Policy::Public | Policy::SignedIn => String::new(),
                },
                public: route.policy == Policy::Public,
            })
            .collect();
        routes.sort_by(|a, b| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
        let upstreams = upstreams.into_iter().map(|upstream| {
            let url = upstream.url.as_ref().map(ToString::to_string).unwrap_or_default();
            let info = UpstreamInfo { name: upstream.name.clone(), url, ..UpstreamInfo::default() };
            (info, Arc::clone(upstream.breaker()))
        });
        let mut upstreams: Vec<_> = upstreams.collect();
        upstreams.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        Own(Arc::new(Inner { routes, upstreams }))
    }
}

#[tonic::async_trait]
impl GatewayService for Own {
    async fn list_routes(&self, _: Request<ListRoutesRequest>) -> Result<Response<ListRoutesReply>, Status> {
        Ok(Response::new(ListRoutesReply { routes: self.0.routes.clone() }))
    }

    async fn list_upstreams(
        &self,
        _: Request<ListUpstreamsRequest>,
    ) -> Result<Response<ListUpstreamsReply>, Status> {
        let upstreams = self.0.upstreams.iter().map(|(info, breaker)| {
            let state = breaker.state();
            UpstreamInfo {
                circuit_breaker_state: state.name().to_owned(),
                failures: i32::try_from(state.failures()).unwrap_or(i32::MAX),
                ..info.clone()
            }
        });
        Ok(Response::new(ListUpstreamsReply { upstreams: upstreams.collect() }))
    }
}

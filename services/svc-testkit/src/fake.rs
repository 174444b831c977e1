//! A neighbour that is not there, played by a few handlers.

use svc_kit::{NeighbourUrl, Setting as _};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::service::Routes;

/// Serves gRPC handlers on a free port, without any of the chassis. Ends when dropped.
pub struct FakeNeighbour {
    url: String,
    server: JoinHandle<()>,
}

impl FakeNeighbour {
    /// Starts it. `routes` come from `tonic::service::Routes::new(SomeServer::new(handlers))`.
    pub async fn start(routes: Routes) -> FakeNeighbour {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound port has an address"));
        let server = tokio::spawn(async move {
            axum::serve(listener, routes.into_axum_router()).await.expect("the fake serves");
        });
        FakeNeighbour { url, server }
    }

    /// Where it listens, for an environment variable.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens, for a client.
    pub fn neighbour_url(&self) -> NeighbourUrl {
        NeighbourUrl::parse(&self.url).expect("our own address is a URL")
    }
}

impl Drop for FakeNeighbour {
    fn drop(&mut self) {
        self.server.abort();
    }
}

//! The protos of these tests, compiled on the spot.

use std::sync::OnceLock;

use gateway::routes::{Lookup, Route, RouteTable, Rpc, Target};
use http::Method;
use prost_reflect::DescriptorPool;

/// The pool of one of the protos in `tests/proto`.
pub fn compile(file: &str) -> DescriptorPool {
    let here = env!("CARGO_MANIFEST_DIR");
    let folders = [format!("{here}/tests/proto"), format!("{here}/../svc-api/proto")];
    let mut compiler = protox::Compiler::new(folders).unwrap();
    compiler.include_imports(true).open_file(file).unwrap();
    compiler.descriptor_pool()
}

/// The routes of `probe.proto`.
pub fn probes() -> &'static RouteTable {
    static TABLE: OnceLock<RouteTable> = OnceLock::new();
    TABLE.get_or_init(|| RouteTable::compile(&compile("platform/probe/v1/probe.proto")).unwrap())
}

/// The route for a verb and a path, with its variables.
pub fn route(method: &str, path: &str) -> (&'static Route, Vec<String>) {
    match probes().find(&Method::from_bytes(method.as_bytes()).unwrap(), path) {
        Lookup::Found(route, variables) => (route, variables),
        _ => panic!("no route for {method} {path}"),
    }
}

/// The RPC of a route.
pub fn rpc(route: &Route) -> &Rpc {
    match &route.target {
        Target::Rpc(rpc) => rpc,
        Target::Raw => panic!("{} is raw", route.path),
    }
}

//! The compiled protos as data.

use std::sync::OnceLock;

use prost_reflect::DescriptorPool;

/// Every proto file, encoded as a `google.protobuf.FileDescriptorSet` with comments and our own options.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The decoded [`FILE_DESCRIPTOR_SET`], made once. Cloning a pool is cheap.
pub fn descriptor_pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    // The build script wrote these bytes with the same library, and a test decodes them: an error cannot happen.
    POOL.get_or_init(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap_or_default())
}

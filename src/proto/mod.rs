//! The generated gRPC types and clients, and the codec they use. Nothing else belongs here.

pub mod codec;

/// Package `usher.v1`; its documentation is in the `.proto` files.
pub mod v1 {
    #![expect(missing_docs, clippy::pedantic, reason = "generated from proto/")]
    tonic::include_proto!("usher.v1");
}

/// Every message, service and comment of `usher.v1`, as reflection serves them.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/usher_descriptor.bin"));

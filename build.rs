//! Compiles `proto/` with a compiler written in Rust, so that no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const SERVICES: [&str; 6] = [
    "usher/v1/user_service.proto",
    "usher/v1/token_service.proto",
    "usher/v1/task_service.proto",
    "usher/v1/content_service.proto",
    "usher/v1/app_service.proto",
    "usher/v1/error_reason.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");

    let descriptors = protox::compile(SERVICES, ["proto"])?;
    #[expect(clippy::disallowed_methods, reason = "cargo tells build scripts no other way")]
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("usher_descriptor.bin"), descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        // Our codec answers an undecodable message with INVALID_ARGUMENT instead of INTERNAL.
        .codec_path("crate::proto::codec::Codec")
        .compile_fds(descriptors)?;
    Ok(())
}

//! The prost codec, except that a message which cannot be decoded is the caller's fault.
//!
//! tonic answers INTERNAL there, which would page the operator of usher for a client's bug.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Encodes `T`, decodes `U`. Named in `build.rs`.
#[derive(Debug, Clone)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder(PhantomData)
    }
}

/// Writes messages; room is always there, since the buffer grows.
#[derive(Debug)]
pub struct ProstEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for ProstEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buf).map_err(|_| Status::internal("the answer cannot be encoded"))
    }
}

/// Reads messages, refusing malformed ones with `INVALID_ARGUMENT` and reason `INVALID_FIELD`.
#[derive(Debug)]
pub struct ProstDecoder<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for ProstDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::decode(buf).map(Some).map_err(|_| undecodable())
    }
}

/// The refusal of a message that is not of the type its RPC takes, or not complete, or not compressed as it says.
pub fn undecodable() -> Status {
    let details =
        ErrorDetails::with_error_info("INVALID_FIELD", "usher", std::collections::HashMap::default());
    let text = "the message cannot be decoded: it is damaged, or not of the type this RPC takes";
    Status::with_error_details(Code::InvalidArgument, text, details)
}

//! Callers: who calls which server with which token.

use std::net::SocketAddr;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_health::pb::health_client::HealthClient;

use super::pb::app_service_client::AppServiceClient;
use super::pb::content_service_client::ContentServiceClient;
use super::pb::task_service_client::TaskServiceClient;
use super::pb::token_service_client::TokenServiceClient;
use super::pb::user_service_client::UserServiceClient;

/// A channel that sends the caller's metadata with each call.
pub(crate) type Wire = InterceptedService<Channel, Headers>;

/// The metadata of a caller.
#[derive(Debug, Clone, Default)]
pub(crate) struct Headers(Vec<(AsciiMetadataKey, AsciiMetadataValue)>);

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in &self.0 {
            request.metadata_mut().insert(name.clone(), value.clone());
        }
        Ok(request)
    }
}

/// A key of an app, and what is signed with it.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) kid: String,
    pub(crate) secret: String,
}

impl Credentials {
    /// Signs any claims; the header names the key.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::HS256) };
        self.sign_as(&header, claims)
    }

    /// Signs any claims under any header.
    pub(crate) fn sign_as(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &EncodingKey::from_secret(self.secret.as_bytes())).unwrap()
    }

    /// A token that may call everything.
    pub(crate) fn server_token(&self) -> String {
        self.sign(&json!({"server": true, "iat": now()}))
    }
}

/// Seconds since 1970, for claims.
#[expect(clippy::disallowed_methods, reason = "tokens of the outside carry the time of the outside")]
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Somebody who calls a server, with a server token unless said otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    address: SocketAddr,
    channel: Channel,
    headers: Headers,
    credentials: Credentials,
}

impl Caller {
    /// Connects when the first call is made.
    pub(crate) fn new(address: SocketAddr, credentials: Credentials) -> Self {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
        let caller = Self { address, channel, headers: Headers::default(), credentials };
        let token = caller.credentials.server_token();
        caller.with_token(&token)
    }

    /// Somebody from another app, with a server token of that.
    pub(crate) fn of_app(&self, credentials: Credentials) -> Self {
        Self::new(self.address, credentials)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key of the app `default`.
    pub(crate) const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The same over a connection of its own.
    pub(crate) fn on_another_connection(&self) -> Self {
        let channel = Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect_lazy();
        Self { channel, ..self.clone() }
    }

    /// The same without any token.
    pub(crate) fn anonymous(&self) -> Self {
        Self { headers: Headers::default(), ..self.clone() }
    }

    /// Somebody without a token who says so.
    pub(crate) fn nobody(&self) -> Self {
        self.anonymous().with_header("auth-type", "anonymous").with_header("x-api-key", &self.credentials.kid)
    }

    /// The same with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        self.anonymous().with_header("authorization", &format!("Bearer {token}"))
    }

    /// The same with one more piece of metadata.
    pub(crate) fn with_header(&self, name: &str, value: &str) -> Self {
        let mut caller = self.clone();
        caller.headers.0.push((name.parse().unwrap(), value.parse().unwrap()));
        caller
    }

    pub(crate) fn users(&self) -> UserServiceClient<Wire> {
        UserServiceClient::new(self.wire())
    }

    pub(crate) fn tokens(&self) -> TokenServiceClient<Wire> {
        TokenServiceClient::new(self.wire())
    }

    pub(crate) fn tasks(&self) -> TaskServiceClient<Wire> {
        TaskServiceClient::new(self.wire())
    }

    pub(crate) fn content(&self) -> ContentServiceClient<Wire> {
        ContentServiceClient::new(self.wire())
    }

    pub(crate) fn apps(&self) -> AppServiceClient<Wire> {
        AppServiceClient::new(self.wire())
    }

    pub(crate) fn health(&self) -> HealthClient<Wire> {
        HealthClient::new(self.wire())
    }

    pub(crate) fn wire(&self) -> Wire {
        InterceptedService::new(self.channel.clone(), self.headers.clone())
    }

    /// Sends bytes to a unary RPC, which need not be a message.
    pub(crate) async fn send_raw(&self, path: &str, body: &[u8]) -> Result<Vec<u8>, Status> {
        let mut grpc = tonic::client::Grpc::new(self.wire());
        grpc.ready().await.map_err(|err| Status::unknown(err.to_string()))?;
        let path = path.parse().unwrap();
        Ok(grpc.unary(Request::new(body.to_vec()), path, Raw).await?.into_inner())
    }

    /// Sends one message of bytes to a streaming RPC and waits for the first answer.
    pub(crate) async fn stream_raw(&self, path: &str, body: &[u8]) -> Result<Option<Vec<u8>>, Status> {
        let mut grpc = tonic::client::Grpc::new(self.wire());
        grpc.ready().await.map_err(|err| Status::unknown(err.to_string()))?;
        let path = path.parse().unwrap();
        let once = futures_util::stream::iter([body.to_vec()]);
        grpc.streaming(Request::new(once), path, Raw).await?.into_inner().message().await
    }
}

impl Caller {
    /// Begins a call and never sends its message; tells how the server ends it.
    pub(crate) async fn send_half(&self, path: &str) -> Status {
        let mut grpc = tonic::client::Grpc::new(self.wire());
        grpc.ready().await.unwrap();
        let nothing = futures_util::stream::pending::<Vec<u8>>();
        match grpc.streaming(Request::new(nothing), path.parse().unwrap(), Raw).await {
            Ok(answer) => answer.into_inner().message().await.map(drop).expect_err("no message was sent"),
            Err(status) => status,
        }
    }
}

/// Messages as the bytes they are.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::bytes::BufMut::put_slice(buf, &item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; prost::bytes::Buf::remaining(buf)];
        prost::bytes::Buf::copy_to_slice(buf, &mut bytes);
        Ok(Some(bytes))
    }
}

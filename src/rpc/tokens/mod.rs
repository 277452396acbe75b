//! `usher.v1.TokenService`.

mod mint;
mod verify;

use tonic::Request;

use super::RpcResult;
use crate::domain::Domain;
use crate::proto::v1 as pb;
use crate::proto::v1::token_service_server::TokenService;

/// The service over the domain.
pub struct Tokens(pub Domain);

#[tonic::async_trait]
impl TokenService for Tokens {
    async fn create_user_token(
        &self,
        request: Request<pb::CreateUserTokenRequest>,
    ) -> RpcResult<pb::CreateUserTokenResponse> {
        mint::create_user_token(&self.0, request).await
    }

    async fn verify_token(
        &self,
        request: Request<pb::VerifyTokenRequest>,
    ) -> RpcResult<pb::VerifyTokenResponse> {
        verify::verify_token(&self.0, request).await
    }
}

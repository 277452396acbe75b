//! `usher.v1.TokenService`.

mod mint;
mod revoke;
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

    async fn create_call_token(
        &self,
        request: Request<pb::CreateCallTokenRequest>,
    ) -> RpcResult<pb::CreateCallTokenResponse> {
        mint::create_call_token(&self.0, request).await
    }

    async fn verify_token(
        &self,
        request: Request<pb::VerifyTokenRequest>,
    ) -> RpcResult<pb::VerifyTokenResponse> {
        verify::verify_token(&self.0, request).await
    }

    async fn revoke_user_tokens(
        &self,
        request: Request<pb::RevokeUserTokensRequest>,
    ) -> RpcResult<pb::RevokeUserTokensResponse> {
        revoke::revoke_user_tokens(&self.0, request).await
    }

    async fn revoke_app_tokens(
        &self,
        request: Request<pb::RevokeAppTokensRequest>,
    ) -> RpcResult<pb::RevokeAppTokensResponse> {
        revoke::revoke_app_tokens(&self.0, request).await
    }
}

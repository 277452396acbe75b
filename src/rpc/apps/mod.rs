//! `usher.v1.AppService`.

mod about;
mod keys;
mod settings;

use tonic::Request;

use super::RpcResult;
use crate::domain::Domain;
use crate::proto::v1 as pb;
use crate::proto::v1::app_service_server::AppService;

/// The service over the domain.
pub struct Apps(pub Domain);

#[tonic::async_trait]
impl AppService for Apps {
    async fn get_app(&self, request: Request<pb::GetAppRequest>) -> RpcResult<pb::GetAppResponse> {
        settings::get_app(&self.0, request).await
    }

    async fn update_app(&self, request: Request<pb::UpdateAppRequest>) -> RpcResult<pb::UpdateAppResponse> {
        settings::update_app(&self.0, request).await
    }

    async fn create_key(&self, request: Request<pb::CreateKeyRequest>) -> RpcResult<pb::CreateKeyResponse> {
        keys::create_key(&self.0, request).await
    }

    async fn list_keys(&self, request: Request<pb::ListKeysRequest>) -> RpcResult<pb::ListKeysResponse> {
        keys::list_keys(&self.0, request).await
    }

    async fn retire_key(&self, request: Request<pb::RetireKeyRequest>) -> RpcResult<pb::RetireKeyResponse> {
        keys::retire_key(&self.0, request).await
    }
}

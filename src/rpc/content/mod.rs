//! `usher.v1.ContentService`.

mod calls;
mod import;

use tonic::{Request, Streaming};

use super::RpcResult;
use crate::domain::Domain;
use crate::proto::v1 as pb;
use crate::proto::v1::content_service_server::ContentService;

/// The service over the domain.
pub struct Content {
    /// The rules.
    pub domain: Domain,
    /// How long one batch may take.
    pub timeout: std::time::Duration,
}

#[tonic::async_trait]
impl ContentService for Content {
    type ImportContentStream = import::Acks;

    async fn import_content(
        &self,
        request: Request<Streaming<pb::ImportContentRequest>>,
    ) -> RpcResult<import::Acks> {
        import::import_content(self, request)
    }

    async fn get_call(&self, request: Request<pb::GetCallRequest>) -> RpcResult<pb::GetCallResponse> {
        calls::get_call(self, request).await
    }
}

//! `usher.v1.ContentService`.

mod calls;
mod channels;
mod encode;
mod footprint;
mod import;
mod messages;

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

    async fn get_channel(
        &self,
        request: Request<pb::GetChannelRequest>,
    ) -> RpcResult<pb::GetChannelResponse> {
        channels::get_channel(&self.domain, request).await
    }

    async fn list_messages(
        &self,
        request: Request<pb::ListMessagesRequest>,
    ) -> RpcResult<pb::ListMessagesResponse> {
        messages::list_messages(&self.domain, request).await
    }

    async fn get_footprint(
        &self,
        request: Request<pb::GetFootprintRequest>,
    ) -> RpcResult<pb::GetFootprintResponse> {
        footprint::get_footprint(&self.domain, request).await
    }
}

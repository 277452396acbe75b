//! `usher.v1.UserService`.

mod bulk_lifecycle;
mod deletion;
mod encode;
mod export;
mod get;
mod guests;
mod history;
mod lifecycle;
mod partial;
mod presence;
mod query;
mod restoration;
mod stream;
mod upsert;

use tonic::Request;

use super::RpcResult;
use crate::domain::Domain;
use crate::proto::v1 as pb;
use crate::proto::v1::user_service_server::UserService;

/// The service over the domain.
pub struct Users(pub Domain);

#[tonic::async_trait]
impl UserService for Users {
    async fn upsert_users(
        &self,
        request: Request<pb::UpsertUsersRequest>,
    ) -> RpcResult<pb::UpsertUsersResponse> {
        upsert::upsert_users(&self.0, request).await
    }

    async fn update_users_partial(
        &self,
        request: Request<pb::UpdateUsersPartialRequest>,
    ) -> RpcResult<pb::UpdateUsersPartialResponse> {
        partial::update_users_partial(&self.0, request).await
    }

    async fn create_guest(
        &self,
        request: Request<pb::CreateGuestRequest>,
    ) -> RpcResult<pb::CreateGuestResponse> {
        guests::create_guest(&self.0, request).await
    }

    async fn get_users(&self, request: Request<pb::GetUsersRequest>) -> RpcResult<pb::GetUsersResponse> {
        get::get_users(&self.0, request).await
    }

    async fn query_users(
        &self,
        request: Request<pb::QueryUsersRequest>,
    ) -> RpcResult<pb::QueryUsersResponse> {
        query::query_users(&self.0, request).await
    }

    type StreamUsersStream = stream::Users;

    async fn stream_users(&self, request: Request<pb::StreamUsersRequest>) -> RpcResult<stream::Users> {
        stream::stream_users(&self.0, request)
    }

    async fn deactivate_user(
        &self,
        request: Request<pb::DeactivateUserRequest>,
    ) -> RpcResult<pb::DeactivateUserResponse> {
        lifecycle::deactivate_user(&self.0, request).await
    }

    async fn reactivate_user(
        &self,
        request: Request<pb::ReactivateUserRequest>,
    ) -> RpcResult<pb::ReactivateUserResponse> {
        lifecycle::reactivate_user(&self.0, request).await
    }

    async fn deactivate_users(
        &self,
        request: Request<pb::DeactivateUsersRequest>,
    ) -> RpcResult<pb::DeactivateUsersResponse> {
        bulk_lifecycle::deactivate_users(&self.0, request).await
    }

    async fn reactivate_users(
        &self,
        request: Request<pb::ReactivateUsersRequest>,
    ) -> RpcResult<pb::ReactivateUsersResponse> {
        bulk_lifecycle::reactivate_users(&self.0, request).await
    }

    async fn delete_users(
        &self,
        request: Request<pb::DeleteUsersRequest>,
    ) -> RpcResult<pb::DeleteUsersResponse> {
        deletion::delete_users(&self.0, request).await
    }

    async fn restore_users(
        &self,
        request: Request<pb::RestoreUsersRequest>,
    ) -> RpcResult<pb::RestoreUsersResponse> {
        restoration::restore_users(&self.0, request).await
    }

    async fn list_user_history(
        &self,
        request: Request<pb::ListUserHistoryRequest>,
    ) -> RpcResult<pb::ListUserHistoryResponse> {
        history::list_user_history(&self.0, request).await
    }

    type ExportUserStream = export::Records;

    async fn export_user(&self, request: Request<pb::ExportUserRequest>) -> RpcResult<export::Records> {
        export::export_user(&self.0, request).await
    }

    async fn export_users(
        &self,
        request: Request<pb::ExportUsersRequest>,
    ) -> RpcResult<pb::ExportUsersResponse> {
        export::export_users(&self.0, request).await
    }

    async fn connect_user(
        &self,
        request: Request<pb::ConnectUserRequest>,
    ) -> RpcResult<pb::ConnectUserResponse> {
        presence::connect_user(&self.0, request).await
    }

    async fn keep_alive(&self, request: Request<pb::KeepAliveRequest>) -> RpcResult<pb::KeepAliveResponse> {
        presence::keep_alive(&self.0, request).await
    }

    async fn disconnect_user(
        &self,
        request: Request<pb::DisconnectUserRequest>,
    ) -> RpcResult<pb::DisconnectUserResponse> {
        presence::disconnect_user(&self.0, request)
    }
}

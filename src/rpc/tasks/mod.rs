//! `usher.v1.TaskService`.

mod control;
mod download;
pub(super) mod encode;
mod read;
mod watch;

use tonic::Request;

use super::RpcResult;
use crate::domain::Domain;
use crate::proto::v1 as pb;
use crate::proto::v1::task_service_server::TaskService;

/// The service over the domain.
pub struct Tasks(pub Domain);

#[tonic::async_trait]
impl TaskService for Tasks {
    async fn get_task(&self, request: Request<pb::GetTaskRequest>) -> RpcResult<pb::GetTaskResponse> {
        read::get_task(&self.0, request).await
    }

    async fn list_tasks(&self, request: Request<pb::ListTasksRequest>) -> RpcResult<pb::ListTasksResponse> {
        read::list_tasks(&self.0, request).await
    }

    async fn list_task_items(
        &self,
        request: Request<pb::ListTaskItemsRequest>,
    ) -> RpcResult<pb::ListTaskItemsResponse> {
        read::list_task_items(&self.0, request).await
    }

    type WatchTaskStream = watch::States;

    async fn watch_task(&self, request: Request<pb::WatchTaskRequest>) -> RpcResult<watch::States> {
        watch::watch_task(&self.0, request).await
    }

    async fn cancel_task(
        &self,
        request: Request<pb::CancelTaskRequest>,
    ) -> RpcResult<pb::CancelTaskResponse> {
        control::cancel_task(&self.0, request).await
    }

    type DownloadResultStream = download::Parts;

    async fn download_result(
        &self,
        request: Request<pb::DownloadResultRequest>,
    ) -> RpcResult<download::Parts> {
        download::download_result(&self.0, request).await
    }

    async fn retry_task(&self, request: Request<pb::RetryTaskRequest>) -> RpcResult<pb::RetryTaskResponse> {
        control::retry_task(&self.0, request).await
    }
}

//! gRPC reflection: v1 and v1alpha, on a loopback listener unless told otherwise.

use prost::Message as _;
use prost_types::FileDescriptorProto;
use tonic::{Code, Status};
use tonic_reflection::pb::{v1, v1alpha};
use v1::server_reflection_client::ServerReflectionClient;
use v1::server_reflection_request::MessageRequest;
use v1::server_reflection_response::MessageResponse;

use crate::harness::{Backend, Caller, TestServer, each_backend};

const OURS: [&str; 5] = [
    "usher.v1.AppService",
    "usher.v1.ContentService",
    "usher.v1.TaskService",
    "usher.v1.TokenService",
    "usher.v1.UserService",
];

async fn ask(caller: &Caller, message: MessageRequest) -> Result<MessageResponse, Status> {
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let mut client = ServerReflectionClient::new(caller.anonymous().wire());
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await?.into_inner();
    Ok(answers.message().await?.unwrap().message_response.unwrap())
}

each_backend! {
    async fn all_services_are_listed(server: TestServer) {
        let answer = ask(&server, MessageRequest::ListServices(String::new())).await.unwrap();
        let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
        let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
        names.retain(|name| name.starts_with("usher."));
        names.sort();
        assert_eq!(names, OURS);
    }

    async fn the_older_version_lists_them_too(server: TestServer) {
        use v1alpha::server_reflection_request::MessageRequest::ListServices;
        use v1alpha::server_reflection_response::MessageResponse::ListServicesResponse;
        let request = v1alpha::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(ListServices(String::new())),
        };
        let mut client =
            v1alpha::server_reflection_client::ServerReflectionClient::new(server.anonymous().wire());
        let mut answers =
            client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
        let ListServicesResponse(list) = answer else { panic!("{answer:?}") };
        assert_eq!(list.service.iter().filter(|service| service.name.starts_with("usher.")).count(), OURS.len());
    }

    async fn every_service_can_be_resolved_with_all_it_imports(server: TestServer) {
        for service in OURS.iter().chain(&["grpc.health.v1.Health"]) {
            let mut wanted = vec![MessageRequest::FileContainingSymbol((*service).to_owned())];
            let mut seen = std::collections::HashSet::new();
            while let Some(request) = wanted.pop() {
                let answer = ask(&server, request).await.unwrap();
                let MessageResponse::FileDescriptorResponse(files) = answer else {
                    panic!("{service}: {answer:?}")
                };
                for bytes in files.file_descriptor_proto {
                    let file = FileDescriptorProto::decode(bytes.as_slice()).unwrap();
                    if seen.insert(file.name().to_owned()) {
                        wanted.extend(file.dependency.into_iter().map(MessageRequest::FileByFilename));
                    }
                }
            }
            assert!(!seen.is_empty());
        }
    }

    async fn it_is_off_where_it_is_switched_off(backend: Backend) {
        let server = backend.start_with(&["--reflection", "off"]).await;
        let refused = ask(&server, MessageRequest::ListServices(String::new())).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented);
    }

    async fn off_loopback_it_is_off_unless_switched_on(backend: Backend) {
        let list = || MessageRequest::ListServices(String::new());
        let server = backend.start_with(&["--listen", "0.0.0.0:0"]).await;
        assert_eq!(ask(&server, list()).await.unwrap_err().code(), Code::Unimplemented);
        let server = server.restart_with(&["--listen", "0.0.0.0:0", "--reflection", "on"]).await;
        assert!(ask(&server, list()).await.is_ok());
    }
}

//! Which right each RPC needs: the one table. An RPC that is missing here is refused to everybody.

use http::HeaderMap;

use crate::domain::tokens::authenticate::Credentials;
use crate::domain::{Caller, Error, Identity};
use crate::model::role;

/// What a caller must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// A server token.
    Server,
    /// A server token; or that of a user whose role has this permission and who names nobody but itself, which
    /// the handler sees to ([`Call::only_about`](crate::domain::Call::only_about)).
    Own(&'static str),
    /// Nothing: whoever calls does so for itself. The handler sees to that.
    Anybody,
}

/// RPC to right, in the order of the services' proto files.
pub const TABLE: &[(&str, Right)] = &[
    ("/usher.v1.UserService/UpsertUsers", Right::Server),
    ("/usher.v1.UserService/UpdateUsersPartial", Right::Own(role::UPDATE_USER_OWNER)),
    ("/usher.v1.UserService/GetUsers", Right::Own(role::READ_USER_OWNER)),
    ("/usher.v1.UserService/QueryUsers", Right::Server),
    ("/usher.v1.UserService/DeactivateUser", Right::Server),
    ("/usher.v1.UserService/ReactivateUser", Right::Server),
    ("/usher.v1.UserService/DeactivateUsers", Right::Server),
    ("/usher.v1.UserService/ReactivateUsers", Right::Server),
    ("/usher.v1.UserService/ConnectUser", Right::Anybody),
    ("/usher.v1.UserService/KeepAlive", Right::Anybody),
    ("/usher.v1.UserService/DisconnectUser", Right::Anybody),
    ("/usher.v1.TokenService/CreateUserToken", Right::Server),
    ("/usher.v1.TokenService/CreateCallToken", Right::Server),
    ("/usher.v1.TokenService/VerifyToken", Right::Server),
    ("/usher.v1.TokenService/RevokeUserTokens", Right::Server),
    ("/usher.v1.TokenService/RevokeAppTokens", Right::Server),
    ("/usher.v1.TaskService/GetTask", Right::Server),
    ("/usher.v1.TaskService/ListTasks", Right::Server),
    ("/usher.v1.TaskService/ListTaskItems", Right::Server),
    ("/usher.v1.TaskService/WatchTask", Right::Server),
    ("/usher.v1.TaskService/CancelTask", Right::Server),
    ("/usher.v1.TaskService/RetryTask", Right::Server),
    ("/usher.v1.ContentService/ImportContent", Right::Server),
    ("/usher.v1.ContentService/GetCall", Right::Server),
    ("/usher.v1.AppService/GetApp", Right::Server),
    ("/usher.v1.AppService/UpdateApp", Right::Server),
    ("/usher.v1.AppService/CreateKey", Right::Server),
    ("/usher.v1.AppService/ListKeys", Right::Server),
    ("/usher.v1.AppService/RetireKey", Right::Server),
];

/// Services that need no token: they tell nothing of any app.
const PUBLIC: [&str; 3] = [
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// Whether `path` is served to everybody.
pub fn is_public(path: &str) -> bool {
    PUBLIC.iter().any(|service| path.starts_with(service))
}

/// The table's line for `path`.
pub fn right_of(path: &str) -> Option<(&'static str, Right)> {
    TABLE.iter().find(|(rpc, _)| *rpc == path).copied()
}

/// Refuses a caller who lacks the right to `rpc`.
pub fn check(caller: &Caller, rpc: &'static str, right: Right) -> Result<(), Error> {
    match (right, &caller.identity) {
        (_, Identity::Server) | (Right::Anybody, _) => Ok(()),
        (Right::Own(needs), Identity::User { role, .. }) if role::permissions(role).contains(&needs) => {
            Ok(())
        }
        (Right::Own(needs), _) => Err(Error::PermissionMissing { rpc, needs }),
        (Right::Server, _) => Err(Error::PermissionMissing { rpc, needs: "a server token" }),
    }
}

/// What a role permits, as answers tell it.
pub(super) fn permissions(role: &str) -> Vec<String> {
    role::permissions(role).iter().map(|permission| (*permission).to_owned()).collect()
}

/// What a caller sent to show who it is: `authorization` with or without `Bearer`, `x-api-key`, and
/// `auth-type: anonymous`.
///
/// A header sent twice is no header: which of both is meant cannot be known.
pub fn credentials(headers: &HeaderMap) -> Credentials {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().map(str::trim).filter(|value| !value.is_empty()),
            _ => None,
        }
    };
    let token = only("authorization").map(|value| match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_start().to_owned(),
        _ => value.to_owned(),
    });
    let anonymous = only("auth-type").is_some_and(|how| how.eq_ignore_ascii_case("anonymous"));
    Credentials { token, api_key: only("x-api-key").map(str::to_owned), anonymous }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn every_rpc_has_a_line_and_every_line_an_rpc() {
        let set = prost_types::FileDescriptorSet::decode(crate::proto::DESCRIPTORS).unwrap();
        let mut rpcs: Vec<String> = set
            .file
            .iter()
            .flat_map(|file| file.service.iter().map(move |service| (file.package(), service)))
            .flat_map(|(package, service)| {
                let name = format!("/{package}.{}", service.name());
                service.method.iter().map(move |method| format!("{name}/{}", method.name()))
            })
            .collect();
        let mut lines: Vec<String> = TABLE.iter().map(|(rpc, _)| (*rpc).to_owned()).collect();
        rpcs.sort();
        lines.sort();
        assert_eq!(rpcs, lines);
    }
}

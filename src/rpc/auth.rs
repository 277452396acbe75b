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
    ("/usher.v1.UserService/CreateGuest", Right::Anybody),
    ("/usher.v1.UserService/GetUsers", Right::Own(role::READ_USER_OWNER)),
    ("/usher.v1.UserService/QueryUsers", Right::Server),
    ("/usher.v1.UserService/StreamUsers", Right::Server),
    ("/usher.v1.UserService/DeactivateUser", Right::Server),
    ("/usher.v1.UserService/ReactivateUser", Right::Server),
    ("/usher.v1.UserService/DeactivateUsers", Right::Server),
    ("/usher.v1.UserService/ReactivateUsers", Right::Server),
    ("/usher.v1.UserService/DeleteUsers", Right::Server),
    ("/usher.v1.UserService/RestoreUsers", Right::Server),
    ("/usher.v1.UserService/ListUserHistory", Right::Server),
    ("/usher.v1.UserService/ExportUser", Right::Server),
    ("/usher.v1.UserService/ExportUsers", Right::Server),
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
    ("/usher.v1.TaskService/DownloadResult", Right::Server),
    ("/usher.v1.TaskService/RetryTask", Right::Server),
    ("/usher.v1.ContentService/ImportContent", Right::Server),
    ("/usher.v1.ContentService/GetCall", Right::Server),
    ("/usher.v1.ContentService/GetChannel", Right::Server),
    ("/usher.v1.ContentService/ListMessages", Right::Server),
    ("/usher.v1.ContentService/GetFootprint", Right::Server),
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
/// A header sent twice is not guessed at: which of both is meant cannot be known. As `authorization` it is a
/// bad token, not none, and so is what cannot be read: it makes nobody anonymous.
pub fn credentials(headers: &HeaderMap) -> Credentials {
    let values = |name: &str| headers.get_all(name).iter().filter(|value| !value.is_empty());
    let only = |name: &str| match (values(name).next(), values(name).nth(1)) {
        (Some(value), None) => value.to_str().ok().map(str::trim).filter(|value| !value.is_empty()),
        _ => None,
    };
    let bad = values("authorization").next().map(|_| "");
    let token = only("authorization").or(bad).map(|value| match value.split_once(' ') {
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
    fn a_token_that_stands_twice_or_cannot_be_read_is_a_bad_one() {
        let sent = |values: &[&[u8]]| {
            let value = |bytes: &&[u8]| http::HeaderValue::from_bytes(bytes).unwrap();
            let name = http::header::AUTHORIZATION;
            credentials(&values.iter().map(|bytes| (name.clone(), value(bytes))).collect()).token
        };
        assert_eq!(sent(&[b"bearer a.b.c"]).as_deref(), Some("a.b.c"));
        for bad in [&[b"a.b.c".as_slice(), b"a.b.c"][..], &[b"a.b.c", b"x"], &[b"\xff"], &[b"a.b.\xfcc"]] {
            assert_eq!(sent(bad).as_deref(), Some(""), "{bad:?}");
        }
        assert_eq!(sent(&[]), None);
        assert_eq!(sent(&[b""]), None);
    }

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

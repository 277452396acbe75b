//! Keys of an app.

use tonic::Request;

use crate::domain::Domain;
use crate::domain::apps::keys::{KeyView, NewKey};
use crate::model::secret;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::time::to_timestamp;
use crate::rpc::{RpcResult, answer, decode, status};

pub(super) async fn create_key(
    domain: &Domain,
    request: Request<pb::CreateKeyRequest>,
) -> RpcResult<pb::CreateKeyResponse> {
    let (call, message) = decode::open(request)?;
    let pb::CreateKeyRequest { secret, verify_only } = message;
    let mut bad = Violations::new();
    let is_own = !secret.is_empty();
    if is_own {
        bad.take("secret", secret::check(&secret));
    }
    let key = NewKey::new(None, is_own.then_some(secret));
    let key = decode::checked(bad, Some(key))?;
    let secret = if is_own { String::new() } else { key.secret.clone() };
    let created = domain.create_key(&call, key, !verify_only).await.map_err(status::of)?;
    Ok(answer(pb::CreateKeyResponse { key: Some(encode(created)), secret }))
}

pub(super) async fn list_keys(
    domain: &Domain,
    request: Request<pb::ListKeysRequest>,
) -> RpcResult<pb::ListKeysResponse> {
    let (call, pb::ListKeysRequest {}) = decode::open(request)?;
    let keys = domain.list_keys(&call).await.map_err(status::of)?;
    Ok(answer(pb::ListKeysResponse { keys: keys.into_iter().map(encode).collect() }))
}

pub(super) async fn retire_key(
    domain: &Domain,
    request: Request<pb::RetireKeyRequest>,
) -> RpcResult<pb::RetireKeyResponse> {
    let (call, message) = decode::open(request)?;
    let mut bad = Violations::new();
    let kid = message.kid;
    if kid.is_empty() || kid.len() > 64 || kid.contains('\0') {
        bad.add("kid", "must be 1 to 64 bytes without NUL characters");
    }
    let kid = decode::checked(bad, Some(kid))?;
    let retired = domain.retire_key(&call, kid).await.map_err(status::of)?;
    Ok(answer(pb::RetireKeyResponse { key: Some(encode(retired)) }))
}

fn encode(key: KeyView) -> pb::AppKey {
    let KeyView { kid, signing, created_at, retired_at } = key;
    let created_at = Some(to_timestamp(created_at));
    pb::AppKey { kid, signing, created_at, retired_at: retired_at.map(to_timestamp) }
}

//! Finding users.

use prost::Message as _;
use tonic::{Request, Status};

use super::encode;
use crate::domain::{Call, Domain, Error};
use crate::model::filter::{self, Filter};
use crate::model::query::{Direction, IdBounds, UserQuery, ValueType, parse_limit, parse_offset, parse_sort};
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::{MAX_ANSWER, RpcResult, answer, decode, json, status};

pub(super) async fn query_users(
    domain: &Domain,
    request: Request<pb::QueryUsersRequest>,
) -> RpcResult<pb::QueryUsersResponse> {
    let (call, mut message) = decode::open(request)?;
    let (with_total, token) = (message.with_total, std::mem::take(&mut message.page_token));
    let full = view(message.view)?;
    let mut query = parse(message, !token.is_empty())?;
    if !token.is_empty() {
        query.after = Some(domain.open_users_page_token(&call, &query, &token).map_err(status::of)?);
    }
    let found = domain.query_users(&call, &query, with_total, full).await.map_err(status::of)?;

    let total = found.total.map(|total| i64::try_from(total).unwrap_or(i64::MAX));
    let (users, next_page_token) = cut(domain, &call, &query, found.users, found.more);
    Ok(answer(pb::QueryUsersResponse { users, next_page_token, total }))
}

pub(super) fn view(view: i32) -> Result<bool, Status> {
    match pb::UserView::try_from(view) {
        Ok(pb::UserView::Unspecified | pb::UserView::Basic) => Ok(false),
        Ok(pb::UserView::Full) => Ok(true),
        Err(_) => Err(status::of(Error::invalid("view", "is not a value of this enum"))),
    }
}

pub(super) fn parse(message: pb::QueryUsersRequest, has_token: bool) -> Result<UserQuery, Status> {
    let mut bad = Violations::new();
    let filter = message.filter.map_or(Some(Filter::ALL), |filter| {
        filter::parse(&json::object(filter, "filter", &mut bad), &mut bad)
    });
    if has_token && message.offset != 0 {
        bad.add("offset", "must not be given together with page_token");
    }
    let keys: Vec<_> =
        message.sort.into_iter().enumerate().map(|(at, key)| sort_key(at, key, &mut bad)).collect();
    let query = UserQuery {
        filter: filter.unwrap_or(Filter::ALL),
        sort: parse_sort(keys.into_iter(), &mut bad),
        ids: IdBounds::parse(message.id_gt, message.id_gte, message.id_lt, message.id_lte, &mut bad),
        limit: parse_limit(message.limit, &mut bad),
        offset: parse_offset(message.offset, &mut bad),
        after: None,
        include_deactivated: message.include_deactivated_users,
        include_deleted: message.include_deleted_users,
    };
    decode::checked(bad, Some(query))
}

fn sort_key(at: usize, key: pb::SortKey, bad: &mut Violations) -> (String, Direction, Option<ValueType>) {
    let direction = match pb::SortDirection::try_from(key.direction) {
        Ok(pb::SortDirection::Unspecified | pb::SortDirection::Asc) => Ok(Direction::Ascending),
        Ok(pb::SortDirection::Desc) => Ok(Direction::Descending),
        Err(_) => Err("is not a value of this enum"),
    };
    let ty = match pb::SortType::try_from(key.r#type) {
        Ok(pb::SortType::Unspecified) => Ok(None),
        Ok(pb::SortType::String) => Ok(Some(ValueType::Text)),
        Ok(pb::SortType::Number) => Ok(Some(ValueType::Number)),
        Ok(pb::SortType::Boolean) => Ok(Some(ValueType::Bool)),
        Err(_) => Err("is not a value of this enum"),
    };
    let direction = bad.take(format!("sort[{at}].direction"), direction);
    let ty = bad.take(format!("sort[{at}].type"), ty);
    (key.field, direction.unwrap_or_default(), ty.flatten())
}

/// As many users as an answer may hold, and the token that leads on from the last of them.
fn cut(
    domain: &Domain,
    call: &Call,
    query: &UserQuery,
    found: Vec<crate::domain::users::UserView>,
    more: bool,
) -> (Vec<pb::User>, String) {
    let mut bytes = 0;
    let mut users: Vec<pb::User> = Vec::with_capacity(found.len());
    let (mut last, mut more) = (None, more);
    for view in found {
        let this = view.user.clone();
        let user = encode::user(view);
        bytes += user.encoded_len() + 8;
        if bytes > MAX_ANSWER && !users.is_empty() {
            more = true;
            break;
        }
        users.push(user);
        last = Some(this);
    }
    let token = last.filter(|_| more).map(|last| domain.users_page_token(call, query, &last));
    (users, token.unwrap_or_default())
}

//! Channels, calls and feeds that rows name: who their members are, and whether their ids name other people.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Query};
use serde_json::Value;

use super::{Row, Step};
use crate::model::call::Cid;
use crate::model::content::DISTINCT;
use crate::model::id::AppId;
use crate::storage::columns::release::Form;
use crate::storage::{Db, StoreError};

/// Members that are compared with the id of what they are members of.
const COMPARED: u64 = 20;
/// Shorter ids are found in others by accident: they count only as words of their own.
const LONG: usize = 4;

/// What users are in, or what belongs to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum PlaceKind {
    Channel,
    Call,
    Feed,
}

/// One of these: its type, or a feed's group, and its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Place {
    pub kind: PlaceKind,
    pub group: String,
    pub id: String,
}

/// The members of distinct channels that rows of `step` name by them.
pub(super) async fn list_members(
    db: &Db,
    app: AppId,
    step: &Step,
    rows: &[Row],
) -> Result<HashMap<Cid, Vec<String>>, StoreError> {
    let fields = step.release.fields;
    let Some((id, kind)) = fields.iter().enumerate().find_map(|(at, field)| match field.form {
        Form::Channel(kind, by_members) if !by_members.is_empty() => {
            Some((at, fields.iter().position(|field| field.column == kind)?))
        }
        _ => None,
    }) else {
        return Ok(HashMap::new());
    };
    let text = |row: &Row, at: usize| row.values.get(at).and_then(Value::as_str).map(str::to_owned);
    let cids = rows.iter().filter_map(|row| Some(Cid { kind: text(row, kind)?, id: text(row, id)? }));
    let distinct: HashSet<Cid> = cids.filter(|cid| cid.id.starts_with(DISTINCT)).collect();
    let mut members: HashMap<Cid, Vec<String>> = HashMap::new();
    for cid in distinct {
        let select = Query::select()
            .column("user_id")
            .from("channel_members")
            .and_where(Expr::col("app_id").eq(app.0))
            .and_where(Expr::col("channel_type").eq(cid.kind.as_str()))
            .and_where(Expr::col("channel_id").eq(cid.id.as_str()))
            .take();
        let mut ids = Vec::new();
        for row in db.query_all(&select).await? {
            ids.push(row.try_get_by_index(0)?);
        }
        ids.sort_unstable();
        members.insert(cid, ids);
    }
    Ok(members)
}

/// Those of `places` whose ids hold the id of a user other than `user`, with these ids: of a member, or of any user
/// where it is a word of the id. That of a distinct channel is made of its members' ids: it holds none, and is one.
pub async fn list_naming_others(
    db: &Db,
    app: AppId,
    user: &str,
    places: &[Place],
) -> Result<HashMap<Place, Vec<String>>, StoreError> {
    let candidates: HashSet<&str> =
        places.iter().flat_map(|place| words(&place.id)).filter(|word| *word != user).collect();
    let existing = list_existing(db, app, &candidates).await?;
    let mut naming = HashMap::new();
    for place in places {
        let others = words(&place.id).filter(|word| existing.contains(*word)).map(str::to_owned);
        let mut others: BTreeSet<String> = others.collect();
        others.extend(members_named(db, app, user, place).await?);
        if is_derived(place) || !others.is_empty() {
            naming.insert(place.clone(), others.into_iter().collect());
        }
    }
    Ok(naming)
}

/// Whether the id is made of its members' ids.
fn is_derived(place: &Place) -> bool {
    place.kind == PlaceKind::Channel && place.id.starts_with(DISTINCT)
}

/// Every run of whole words of `id`.
fn words(id: &str) -> impl Iterator<Item = &str> {
    let is_joint = |(_, c): &(usize, char)| !c.is_alphanumeric();
    let joints: Vec<(usize, usize)> =
        id.char_indices().filter(is_joint).map(|(at, c)| (at, at + c.len_utf8())).collect();
    let starts: Vec<usize> = std::iter::once(0).chain(joints.iter().map(|(_, after)| *after)).collect();
    let ends: Vec<usize> = joints.iter().map(|(at, _)| *at).chain([id.len()]).collect();
    starts.into_iter().flat_map(move |start| {
        let runs = ends.iter().filter_map(move |end| id.get(start..*end)).filter(|run| !run.is_empty());
        runs.collect::<Vec<_>>()
    })
}

async fn list_existing(db: &Db, app: AppId, ids: &HashSet<&str>) -> Result<HashSet<String>, StoreError> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<&str> = ids.iter().copied().collect();
    let select = Query::select()
        .column("id")
        .from("users")
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(db.backend().json().is_one_of(Expr::col("id"), &ids))
        .take();
    db.query_all(&select).await?.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

/// Members whose ids are parts of the id of what they are members of.
async fn members_named(db: &Db, app: AppId, user: &str, place: &Place) -> Result<Vec<String>, StoreError> {
    let (table, [kind, id]) = match place.kind {
        PlaceKind::Channel => ("channel_members", ["channel_type", "channel_id"]),
        PlaceKind::Call => ("call_members", ["call_type", "call_id"]),
        PlaceKind::Feed => return Ok(Vec::new()),
    };
    let of_place = Condition::all()
        .add(Expr::col("app_id").eq(app.0))
        .add(Expr::col(kind).eq(place.group.as_str()))
        .add(Expr::col(id).eq(place.id.as_str()));
    let select = Query::select().column("user_id").from(table).cond_where(of_place).limit(COMPARED).take();
    let mut named = Vec::new();
    for row in db.query_all(&select).await? {
        let member: String = row.try_get_by_index(0)?;
        if member != user && member.len() >= LONG && place.id.contains(&member) {
            named.push(member);
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_all_runs_between_joints() {
        let found: HashSet<&str> = words("ada-grace_x").collect();
        let all = ["ada", "ada-grace", "ada-grace_x", "grace", "grace_x", "x"];
        assert_eq!(found, all.into_iter().collect());
        assert_eq!(words("general").collect::<Vec<_>>(), ["general"]);
    }
}

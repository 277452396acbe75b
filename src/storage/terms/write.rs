//! Writing terms, with their users and for users that have none yet.
//!
//! `users.terms_version` says of which version of a user the terms are: see [`mark`]. Where that is not the user's,
//! the terms are missing or old: an earlier usher wrote the user, or there were no terms yet. [`write_missing`]
//! puts that right, and queries take such users into account in the meantime.

use std::collections::{BTreeSet, HashMap};

use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Query, UpdateStatement};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait,
};

use super::{Term, terms_of};
use crate::model::id::AppId;
use crate::model::user::User;
use crate::storage::entity::{user, user_term};
use crate::storage::migration::indexes::missing;
use crate::storage::{StoreError, Tx};

/// What `users.terms_version` is where the terms are those of this version.
///
/// Below zero: ushers to whom each letter of a script without spaces was a word wrote the version itself. They take
/// what is written here for missing, as this one does with what they wrote, unless it is ASCII throughout.
pub const fn mark(version: i64) -> i64 {
    -version
}

/// Users with old terms, or none: as the index `users_without_words` has it, word by word.
///
/// PostgreSQL would take a plain comparison to be true of nearly everybody, and read them all. Of an equality
/// that it knows nothing about it expects little, and of the same one said in another way still less.
pub fn is_missing() -> Expr {
    Expr::cust(format!(
        "({} = 1 AND {} = 1)",
        missing!("-version", "version"),
        missing!("0 - version", "version + 0")
    ))
}

/// Users with the terms they should have.
pub(in crate::storage) fn is_current() -> Expr {
    Expr::cust(format!("{} = 0", missing!("-version", "version")))
}

/// Raises the version of users whose terms stay as they are.
pub fn raise_version(update: &mut UpdateStatement) {
    use user::Column::{TermsVersion, Version};
    let of_this = Expr::col(TermsVersion).lt(0);
    let mark = Expr::case(of_this, Expr::col(TermsVersion).sub(1)).finally(Expr::col(TermsVersion).add(1));
    update.value(Version, Expr::col(Version).add(1)).value(TermsVersion, mark);
}

/// Makes the terms of `users`, whose rows the transaction holds, those that they should have.
pub(in crate::storage) async fn write_terms(tx: &Tx, app: AppId, users: &[&User]) -> Result<(), StoreError> {
    let ids: Vec<&str> = users.iter().map(|user| user.id().as_str()).collect();
    // Read, not worked out from what the users were: whoever wrote them last has left old ones, or none.
    let one_of_them = tx.backend().json().is_one_of(Expr::col(user_term::Column::UserId), &ids);
    let rows = user_term::Entity::find()
        .filter(user_term::Column::AppId.eq(app.0))
        .filter(one_of_them)
        .all(&**tx)
        .await?;
    let mut standing: HashMap<String, BTreeSet<Term>> = HashMap::new();
    for row in rows {
        standing.entry(row.user_id).or_default().insert((row.path, row.value));
    }

    let mut had = |user: &&User| standing.remove(user.id().as_str()).unwrap_or_default();
    let changes = users.iter().map(|user| (*user, [had(user), terms_of(user)])).collect();
    change_terms(tx, app, changes).await
}

/// The same for users, whose rows the transaction holds, beside each of whom stand terms that it has and those
/// it should have in their place.
pub(in crate::storage) async fn change_terms(
    tx: &Tx,
    app: AppId,
    users: Vec<(&User, [BTreeSet<Term>; 2])>,
) -> Result<(), StoreError> {
    let (mut fresh, mut gone) = (Vec::new(), Vec::new());
    for (user, [had, has]) in users {
        let row = |(path, value): &Term| [user.id().as_str().to_owned(), path.clone(), value.clone()];
        gone.extend(had.difference(&has).map(row));
        fresh.extend(has.difference(&had).map(row));
    }
    let dialect = tx.backend().terms();
    if !gone.is_empty() {
        tx.execute_raw(dialect.delete(app, gone)).await?;
    }
    if !fresh.is_empty() {
        tx.execute_raw(dialect.insert(app, fresh)).await?;
    }
    Ok(())
}

/// Where [`write_missing`] goes on: app and user id.
pub type Place = (i32, String);

/// Writes the missing terms of up to `limit` users after `after`, and tells the last of them; `None` where
/// there were no more. Users that somebody else holds are left to them, or to the next round.
pub async fn write_missing(tx: &Tx, after: Option<Place>, limit: u64) -> Result<Option<Place>, StoreError> {
    use user::Column::{AppId as App, Id};
    let mut select = user::Entity::find().filter(is_missing());
    if let Some((app, id)) = after {
        let later = App.gt(app).or(App.eq(app).and(Id.gt(id)));
        // The first one adds nothing but a range for the index.
        select = select.filter(Condition::all().add(App.gte(app)).add(later));
    }
    select = select.order_by_asc(App).order_by_asc(Id).limit(limit);
    tx.backend().lock_free_ones(QueryTrait::query(&mut select));
    let rows = select.all(&**tx).await?;
    let Some(last) = rows.last().map(|row| (row.app_id, row.id.clone())) else { return Ok(None) };

    for rows in rows.chunk_by(|one, other| one.app_id == other.app_id) {
        let Some(app) = rows.first().map(|row| AppId(row.app_id)) else { continue };
        let users = rows.iter().cloned().map(User::try_from).collect::<Result<Vec<_>, _>>()?;
        write_terms(tx, app, &users.iter().collect::<Vec<_>>()).await?;
        let mut update = Query::update();
        update
            .table(user::Entity)
            .value(user::Column::TermsVersion, Expr::cust("-version"))
            .and_where(App.eq(app.0))
            .and_where(Id.is_in(users.iter().map(|user| user.id().as_str())));
        tx.execute(&update).await?;
    }
    Ok(Some(last))
}

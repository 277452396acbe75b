//! What judging and minting tokens needs to know, and revoking them.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, Func, Query, UpdateStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, Iden, QueryFilter, QuerySelect};

use super::entity::{app, user};
use super::settings::settings_of;
use super::terms::write::raise_version;
use super::{Db, StoreError, Tx};
use crate::model::clock::Timestamp;
use crate::model::id::{AppId, UserId};
use crate::model::reason::Reason;
use crate::model::revocation::{Revocation, RevocationMarks};
use crate::model::settings::AppSettings;
use crate::model::user::barred;

/// A user as far as its tokens are concerned; deleted ones too, since their tokens must be refused.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// As stored.
    pub role: String,
    /// Why its tokens are refused, whatever they say.
    pub barred: Option<Reason>,
    /// What was revoked.
    pub marks: RevocationMarks,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    role: String,
    deactivated_at: Option<i64>,
    deleted_at: Option<i64>,
    auth_epoch: i64,
    revoked_epoch: i64,
    revoked_before: Option<i64>,
    minted_before: Option<i64>,
}

/// The users `ids` of `app` that exist, whatever their state.
pub async fn list_bearers(
    db: &Db,
    app: AppId,
    ids: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, Bearer>, StoreError> {
    use user::Column;
    let columns = [
        Column::Id,
        Column::Role,
        Column::DeactivatedAt,
        Column::DeletedAt,
        Column::AuthEpoch,
        Column::RevokedEpoch,
        Column::RevokedBefore,
        Column::MintedBefore,
    ];
    let select = user::any(app).filter(Column::Id.is_in(ids)).select_only().columns(columns);
    let rows = select.into_model::<Row>().all(db).await?;
    let bearer = |row: Row| Bearer {
        role: row.role,
        barred: barred(row.deleted_at.is_some(), row.deactivated_at.is_some()),
        marks: RevocationMarks {
            epoch: row.auth_epoch,
            revoked_epoch: row.revoked_epoch,
            revoked_before: row.revoked_before.map(Timestamp::from_micros),
            minted_before: row.minted_before.map(Timestamp::from_micros),
        },
    };
    Ok(rows.into_iter().map(|row| (row.id.clone(), bearer(row))).collect())
}

/// The user `id` of `app`, whatever its state.
pub async fn find_bearer(db: &Db, app: AppId, id: &UserId) -> Result<Option<Bearer>, StoreError> {
    Ok(list_bearers(db, app, [id.as_str()]).await?.remove(id.as_str()))
}

/// An app as far as tokens are concerned.
#[derive(Debug, Clone)]
pub struct AppStanding {
    /// What was revoked in all of it.
    pub marks: RevocationMarks,
    /// What it asks of tokens, among other things.
    pub settings: AppSettings,
}

/// How `app` stands.
pub async fn get_app_standing(db: &Db, app: AppId) -> Result<AppStanding, StoreError> {
    // No LIMIT: the number is unique, and SQLite would prepare the statement anew each time.
    let app = app::Entity::find().filter(app::Column::Id.eq(app.0)).all(db).await?.pop();
    let app = app.ok_or_else(|| StoreError::corrupt("the app is gone"))?;
    let marks = RevocationMarks {
        epoch: app.auth_epoch,
        revoked_epoch: app.revoked_epoch,
        revoked_before: app.revoked_before.map(Timestamp::from_micros),
        minted_before: app.minted_before.map(Timestamp::from_micros),
    };
    Ok(AppStanding { marks, settings: settings_of(&app)? })
}

/// Revokes tokens of users that the transaction has locked, and raises their versions. Where epochs rise, they
/// do by `step`.
pub async fn revoke_users(
    tx: &Tx,
    app: AppId,
    ids: &[UserId],
    revocation: Revocation,
    step: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    use user::Column;
    let mut update = Query::update();
    update
        .table(user::Entity)
        .value(Column::UpdatedAt, later(Column::UpdatedAt, now))
        .and_where(Column::AppId.eq(app.0))
        .and_where(Column::Id.is_in(ids.iter().map(UserId::as_str)));
    raise_version(&mut update);
    let columns = [Column::AuthEpoch, Column::RevokedEpoch, Column::RevokedBefore, Column::MintedBefore];
    revoke(tx, &mut update, columns, revocation, step);
    tx.execute(&update).await?;
    Ok(())
}

/// Revokes tokens of everybody in `app`. Where its epoch rises, it does by `step`.
pub async fn revoke_app(tx: &Tx, app: AppId, revocation: Revocation, step: i64) -> Result<(), StoreError> {
    use app::Column;
    let mut update = Query::update();
    update.table(app::Entity).and_where(Column::Id.eq(app.0));
    let columns = [Column::AuthEpoch, Column::RevokedEpoch, Column::RevokedBefore, Column::MintedBefore];
    revoke(tx, &mut update, columns, revocation, step);
    tx.execute(&update).await?;
    Ok(())
}

fn revoke<C: Iden + Copy + 'static>(
    db: &Db,
    update: &mut UpdateStatement,
    [epoch, revoked_epoch, revoked_before, minted_before]: [C; 4],
    revocation: Revocation,
    step: i64,
) {
    match revocation {
        Revocation::Now => {
            update
                .value(epoch, Expr::col(epoch).add(step))
                .value(revoked_epoch, Expr::col(epoch).add(step))
                // The database's clock, so that it is one clock for all replicas.
                .value(revoked_before, db.backend().now());
        }
        Revocation::IssuedBefore(time) => {
            update
                .value(revoked_before, later(revoked_before, time))
                .value(minted_before, later(minted_before, time));
        }
        Revocation::Clear => {
            update
                .value(revoked_epoch, 0)
                .value(revoked_before, None::<i64>)
                .value(minted_before, None::<i64>);
        }
    }
}

/// The later one of what a column holds, if anything, and `time`.
fn later<C: Iden + Copy + 'static>(column: C, time: Timestamp) -> Expr {
    let current = Expr::expr(Func::coalesce([Expr::col(column), Expr::val(i64::MIN)]));
    Expr::case(current.gt(time.micros()), Expr::col(column)).finally(time.micros()).into()
}

//! Counting what a user has.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement, UnionType};

use super::deletion::of_two;
use super::{Db, StoreError};
use crate::model::deletion::Shared;
use crate::model::footprint::Footprint;
use crate::model::id::AppId;

/// Counts everything of a user.
pub async fn count_all(db: &Db, app: AppId, user: &str) -> Result<Footprint, StoreError> {
    let count = async |table, column| count(db, app, table, column, user, None).await;
    Ok(Footprint {
        channels: count("channels", "created_by_id").await?,
        channel_memberships: count("channel_members", "user_id").await?,
        conversations: conversations(db, app, user).await?,
        messages: count("messages", "user_id").await?,
        reactions: count("reactions", "user_id").await?,
        calls: count("calls", "created_by_id").await?,
        call_memberships: count("call_members", "user_id").await?,
        feeds: count("feeds", "created_by_id").await?,
        activities: count("activities", "user_id").await?,
        comments: count("comments", "user_id").await?,
        feed_reactions: count("feed_reactions", "user_id").await?,
        follows: follows(db, app, user).await?,
        flags: count("flags", "user_id").await?,
        flags_received: flags_received(db, app, user).await?,
        devices: count("devices", "user_id").await?,
        future_channel_bans: count("future_channel_bans", "created_by_id").await?
            + count("future_channel_bans", "target_id").await?,
        mentions: count("named_users", "user_id").await?,
        blocks: count("user_blocks", "user_id").await? + count("user_blocks", "blocked_user_id").await?,
    })
}

async fn conversations(db: &Db, app: AppId, user: &str) -> Result<i64, StoreError> {
    count(db, app, "channel_members", "user_id", user, Some(Expr::cust(of_two(Shared::Channels)))).await
}

async fn flags_received(db: &Db, app: AppId, user: &str) -> Result<i64, StoreError> {
    count(db, app, "flags", "entity_id", user, Some(Expr::col("entity_type").eq("user"))).await
}

/// Follows from the feeds of a user, and to them; one between two of its feeds counts once.
async fn follows(db: &Db, app: AppId, user: &str) -> Result<i64, StoreError> {
    let end = |group: &'static str, id: &'static str| {
        let mut select = Query::select();
        select
            .columns(["source_group", "source_id", "target_group", "target_id"].map(|one| ("follows", one)))
            .from("feeds")
            .cross_join("follows")
            .and_where(Expr::col(("feeds", "app_id")).eq(app.0))
            .and_where(Expr::col(("feeds", "created_by_id")).eq(user))
            .and_where(Expr::col(("follows", "app_id")).eq(app.0))
            .and_where(Expr::col(("follows", group)).equals(("feeds", "group_id")))
            .and_where(Expr::col(("follows", id)).equals(("feeds", "id")));
        select
    };
    let mut both = end("source_group", "source_id");
    both.union(UnionType::Distinct, end("target_group", "target_id"));
    let mut select = Query::select();
    select.expr(Expr::cust("COUNT(*)")).from_subquery(both, "ends");
    one(db, &select).await
}

async fn count(
    db: &Db,
    app: AppId,
    table: &'static str,
    column: &'static str,
    user: &str,
    also: Option<Expr>,
) -> Result<i64, StoreError> {
    let mut select = Query::select();
    select
        .expr(Expr::cust("COUNT(*)"))
        .from(table)
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(Expr::col(column).eq(user))
        .and_where_option(also);
    one(db, &select).await
}

async fn one(db: &Db, select: &SelectStatement) -> Result<i64, StoreError> {
    let row = db.query_one(select).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default())
}

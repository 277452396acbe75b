//! Removing things with all that hangs on them, about so many rows at a time.

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Query};

use super::{Rows, any_of, delete_some, table_of, texts};
use crate::model::content::{Kind, Naming};
use crate::model::deletion::Made;
use crate::model::id::AppId;
use crate::storage::{StoreError, Tx};

/// How far things were removed, and how many rows that took.
pub(super) enum Erased {
    /// Something is left.
    Some(Rows),
    /// Nothing is.
    All(Rows),
}

/// Rows that hang on others: their table, and the column that names these by id.
struct Hanging {
    table: &'static str,
    column: &'static str,
    /// Other columns and what they hold, such as the kind of the thing that is named.
    only: Vec<(&'static str, &'static str)>,
}

fn hanging(table: &'static str, column: &'static str, only: &[(&'static str, &'static str)]) -> Hanging {
    Hanging { table, column, only: only.to_vec() }
}

/// What pruning removes with things, and erasing too.
fn hangs_on(made: Made) -> Vec<Hanging> {
    let reactions = match made {
        Made::Messages => hanging("reactions", "message_id", &[]),
        Made::Comments => hanging("feed_reactions", "comment_id", &[]),
        // Those to comments name the activity, too, but hang on the comments.
        Made::Activities => hanging("feed_reactions", "activity_id", &[("comment_id", "")]),
        Made::Feeds => return Vec::new(),
    };
    let kind = kind_of(made).as_str();
    let mention = ("naming", Naming::Mention.as_str());
    let flags = hanging("flags", "entity_id", &[("entity_type", kind)]);
    vec![reactions, flags, hanging("named_users", "owner_id", &[("owner_kind", kind), mention])]
}

/// What only erasing removes: who may see a thing is kept as long as the thing is.
fn hangs_on_to_the_end(made: Made) -> Vec<Hanging> {
    let lists = hanging("named_users", "owner_id", &[("owner_kind", kind_of(made).as_str())]);
    match made {
        Made::Messages | Made::Comments => vec![lists],
        Made::Activities => vec![
            lists,
            hanging("feed_reactions", "activity_id", &[]),
            hanging("activity_feeds", "activity_id", &[]),
        ],
        Made::Feeds => Vec::new(),
    }
}

const fn kind_of(made: Made) -> Kind {
    match made {
        Made::Messages => Kind::Message,
        Made::Comments => Kind::Comment,
        Made::Activities => Kind::Activity,
        Made::Feeds => Kind::Feed,
    }
}

/// Removes reactions, flags and mentions of things; of feeds, who follows whom. About `limit` rows of each:
/// where as many as that are told, there may be more.
pub(super) async fn bare(
    tx: &Tx,
    app: AppId,
    made: Made,
    keys: &[Vec<String>],
    limit: u64,
) -> Result<Rows, StoreError> {
    if made == Made::Feeds {
        return follows(tx, app, keys, limit).await;
    }
    let ids = first_parts(keys);
    let mut rows = Rows::default();
    for hanging in hangs_on(made) {
        rows += unhang(tx, app, &hanging, &ids, limit).await?;
        if rows.total() >= limit {
            break;
        }
    }
    Ok(rows)
}

/// Removes things, once nothing hangs on them.
pub(super) async fn whole(
    tx: &Tx,
    app: AppId,
    made: Made,
    keys: &[Vec<String>],
    limit: u64,
) -> Result<Erased, StoreError> {
    let mut rows = bare(tx, app, made, keys, limit).await?;
    if rows.total() < limit {
        rows += match made {
            Made::Activities => comments_on(tx, app, keys, limit).await?,
            Made::Feeds => by_feed(tx, app, "activity_feeds", ["group_id", "feed_id"], keys, limit).await?,
            Made::Messages | Made::Comments => Rows::default(),
        };
    }
    for hanging in hangs_on_to_the_end(made) {
        if rows.total() < limit {
            rows += unhang(tx, app, &hanging, &first_parts(keys), limit).await?;
        }
    }
    if rows.total() >= limit {
        return Ok(Erased::Some(rows));
    }
    let (table, mut delete) = (table_of(made), Query::delete());
    delete.from_table(table).and_where(Expr::col("app_id").eq(app.0));
    if made == Made::Feeds {
        delete.cond_where(any_of(["group_id", "id"], keys));
    } else {
        delete.and_where(tx.backend().json().is_one_of(Expr::col("id"), &first_parts(keys)));
    }
    rows += Rows::of(table, tx.execute(&delete).await?.rows_affected());
    Ok(Erased::All(rows))
}

/// Removes comments of everybody on activities.
async fn comments_on(
    tx: &Tx,
    app: AppId,
    activities: &[Vec<String>],
    limit: u64,
) -> Result<Rows, StoreError> {
    let select = Query::select()
        .column("id")
        .from("comments")
        .and_where(Expr::col("app_id").eq(app.0))
        .and_where(tx.backend().json().is_one_of(Expr::col("activity_id"), &first_parts(activities)))
        .limit(limit)
        .take();
    let comments: Vec<Vec<String>> = texts(tx, &select).await?.into_iter().map(|id| vec![id]).collect();
    if comments.is_empty() {
        return Ok(Rows::default());
    }
    match Box::pin(whole(tx, app, Made::Comments, &comments, limit)).await? {
        Erased::Some(rows) => Ok(rows.raised_to(limit)),
        // As many as asked for: there may be more.
        Erased::All(rows) if comments.len() as u64 == limit => Ok(rows.raised_to(limit)),
        Erased::All(rows) => Ok(rows),
    }
}

async fn follows(tx: &Tx, app: AppId, feeds: &[Vec<String>], limit: u64) -> Result<Rows, StoreError> {
    let mut rows = Rows::default();
    for end in [["source_group", "source_id"], ["target_group", "target_id"]] {
        rows += by_feed(tx, app, "follows", end, feeds, limit).await?;
        if rows.total() >= limit {
            break;
        }
    }
    Ok(rows)
}

async fn by_feed(
    tx: &Tx,
    app: AppId,
    table: &'static str,
    columns: [&'static str; 2],
    feeds: &[Vec<String>],
    limit: u64,
) -> Result<Rows, StoreError> {
    let which = Condition::all().add(Expr::col("app_id").eq(app.0)).add(any_of(columns, feeds));
    delete_some(tx, table, which, limit).await
}

async fn unhang(
    tx: &Tx,
    app: AppId,
    hanging: &Hanging,
    ids: &[&str],
    limit: u64,
) -> Result<Rows, StoreError> {
    let named = tx.backend().json().is_one_of(Expr::col(hanging.column), ids);
    let mut which = Condition::all().add(Expr::col("app_id").eq(app.0)).add(named);
    for (column, held) in &hanging.only {
        which = which.add(Expr::col(*column).eq(*held));
    }
    delete_some(tx, hanging.table, which, limit).await
}

fn first_parts(keys: &[Vec<String>]) -> Vec<&str> {
    keys.iter().filter_map(|key| key.first()).map(String::as_str).collect()
}

//! Counting what a deletion would touch: of each table the rows that one of several conditions meets, each of
//! them found by its own index.

use std::collections::BTreeMap;

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Alias, Condition, Expr, ExprTrait as _, Query, SelectStatement, UnionType};

use super::rows::kind_of;
use super::shared::{Place, place};
use super::{made, table_of};
use crate::model::content::Kind;
use crate::model::deletion::{DeletePlan, Made, Mode, Shared};
use crate::model::id::AppId;
use crate::storage::{Db, StoreError};

/// Rows by what they are; what there is none of is left out.
pub type Preview = BTreeMap<&'static str, i64>;

/// Counts what deleting these users would mark, blank or remove.
pub async fn preview(db: &Db, app: AppId, ids: &[String], plan: &DeletePlan) -> Result<Preview, StoreError> {
    let mut preview = Preview::new();
    if ids.is_empty() {
        return Ok(preview);
    }
    let ids = ids.iter().map(String::as_str).collect();
    let reach = Reach { db, app, ids, plan };
    for Counted { table, key, which } in reach.of_users().into_iter().chain(reach.of_content()) {
        let number = reach.count(table, key, which).await?;
        if let Some(kind) = kind_of(table).filter(|_| number > 0) {
            preview.insert(kind, number);
        }
    }
    Ok(preview)
}

/// Rows to count: those of `table` that any of the conditions is true of.
struct Counted {
    table: &'static str,
    /// What tells its rows apart.
    key: &'static [&'static str],
    which: Vec<Option<Condition>>,
}

/// What a plan means for some users.
struct Reach<'a> {
    db: &'a Db,
    app: AppId,
    ids: Vec<&'a str>,
    plan: &'a DeletePlan,
}

impl Reach<'_> {
    /// The users' own rows, and those that put them in relation to others.
    fn of_users(&self) -> Vec<Counted> {
        let pruned = self.plan.user >= Mode::Pruning;
        let erased = self.plan.user == Mode::Hard;
        let mine = |if_so: bool, column| if_so.then(|| self.mine(column));
        let about = |kind: Kind, gone: Option<SelectStatement>| {
            let of_kind = Condition::all().add(Expr::col("entity_type").eq(kind.as_str()));
            gone.map(|gone| of_kind.add(Expr::col("entity_id").in_subquery(gone)))
        };
        let on_them = erased.then(|| self.mine("entity_id").add(Expr::col("entity_type").eq("user")));
        let feeds = |group, id| {
            let feeds = self.stripped(Made::Feeds, &["group_id", "id"]);
            feeds.map(|feeds| is_in([group, id], feeds))
        };
        let members = |shared, mode| {
            let both = (mode == Mode::Hard).then(|| self.within(shared));
            vec![mine(erased, "user_id"), both]
        };
        let counted = |table, key, which| Counted { table, key, which };
        vec![
            counted("devices", &["user_id", "id"], vec![mine(pruned, "user_id")]),
            counted(
                "user_blocks",
                &["user_id", "blocked_user_id"],
                vec![mine(pruned, "user_id"), mine(erased, "blocked_user_id")],
            ),
            counted(
                "future_channel_bans",
                &["created_by_id", "target_id"],
                vec![mine(erased, "created_by_id"), mine(erased, "target_id")],
            ),
            counted(
                "flags",
                &["entity_type", "entity_id", "user_id"],
                vec![
                    mine(erased, "user_id"),
                    on_them,
                    about(Kind::Message, self.stripped(Made::Messages, &["id"])),
                    about(Kind::Message, self.messages_of_two()),
                    about(Kind::Activity, self.stripped(Made::Activities, &["id"])),
                    about(Kind::Comment, self.stripped(Made::Comments, &["id"])),
                    about(Kind::Comment, self.comments_on_mine()),
                ],
            ),
            counted(
                "follows",
                &["source_group", "source_id", "target_group", "target_id"],
                vec![feeds("source_group", "source_id"), feeds("target_group", "target_id")],
            ),
            counted(
                "channel_members",
                &["channel_type", "channel_id", "user_id"],
                members(Shared::Channels, self.plan.conversations),
            ),
            counted(
                "call_members",
                &["call_type", "call_id", "user_id"],
                members(Shared::Calls, self.plan.calls),
            ),
        ]
    }

    /// What the users made, alone or with others.
    fn of_content(&self) -> Vec<Counted> {
        let (messages, activities) = (self.plan.messages, self.plan.activities);
        let reacted = |mode: Mode| (mode >= Mode::Pruning).then(|| self.mine("user_id"));
        let one_of = |column: &'static str, gone: Option<SelectStatement>| {
            gone.map(|gone| Condition::all().add(Expr::col(column).in_subquery(gone)))
        };
        let erased = activities == Mode::Hard;
        let on_activities = one_of("activity_id", self.stripped(Made::Activities, &["id"]));
        // Reactions to comments stay where the comments do.
        let reactions =
            on_activities.clone().map(|on| on.add_option((!erased).then(|| Expr::col("comment_id").eq(""))));
        let of_two = (self.plan.conversations == Mode::Hard).then(|| self.within(Shared::Channels));
        let shared = |shared, mode| (mode != Mode::Keep).then(|| is_in(["type", "id"], self.two(shared)));
        let counted = |table, key, which| Counted { table, key, which };
        vec![
            counted("messages", &["id"], vec![self.changed(Made::Messages), of_two]),
            counted(
                "reactions",
                &["message_id", "user_id", "type"],
                vec![
                    reacted(messages),
                    one_of("message_id", self.stripped(Made::Messages, &["id"])),
                    one_of("message_id", self.messages_of_two()),
                ],
            ),
            counted("activities", &["id"], vec![self.changed(Made::Activities)]),
            counted("feeds", &["group_id", "id"], vec![self.changed(Made::Feeds)]),
            counted(
                "comments",
                &["id"],
                vec![self.changed(Made::Comments), on_activities.filter(|_| erased)],
            ),
            counted(
                "feed_reactions",
                &["activity_id", "comment_id", "user_id", "type"],
                vec![
                    reacted(activities),
                    reactions,
                    one_of("comment_id", self.stripped(Made::Comments, &["id"])),
                ],
            ),
            counted("channels", &["type", "id"], vec![shared(Shared::Channels, self.plan.conversations)]),
            counted("calls", &["type", "id"], vec![shared(Shared::Calls, self.plan.calls)]),
        ]
    }

    /// Those of what the users made that change or go.
    fn changed(&self, made: Made) -> Option<Condition> {
        let files = (self.plan.files && made != Made::Feeds).then(made::has_files);
        let live = Expr::col("deleted_at").is_null();
        let mine = self.mine(if made == Made::Feeds { "created_by_id" } else { "user_id" });
        match self.plan.mode_of(made) {
            Mode::Keep => files.map(|files| mine.add(files)),
            Mode::Soft => Some(mine.add(Condition::any().add(live).add_option(files))),
            Mode::Pruning | Mode::Hard => Some(mine),
        }
    }

    /// Those of what the users made that lose all that hangs on them.
    fn stripped(&self, made: Made, columns: &[&'static str]) -> Option<SelectStatement> {
        let which = self.changed(made).filter(|_| self.plan.mode_of(made) >= Mode::Pruning)?;
        Some(self.select(table_of(made), columns, which))
    }

    /// Comments of anybody that go with the activities of the users.
    fn comments_on_mine(&self) -> Option<SelectStatement> {
        let activities =
            self.stripped(Made::Activities, &["id"]).filter(|_| self.plan.activities == Mode::Hard)?;
        let on_them = Condition::all().add(Expr::col("activity_id").in_subquery(activities));
        Some(self.select("comments", &["id"], on_them))
    }

    /// Messages that go with the channel they are in.
    fn messages_of_two(&self) -> Option<SelectStatement> {
        let erased = self.plan.conversations == Mode::Hard;
        erased.then(|| self.select("messages", &["id"], self.within(Shared::Channels)))
    }

    /// What is in a channel, or call, that goes.
    fn within(&self, shared: Shared) -> Condition {
        is_in(place(shared).columns, self.two(shared))
    }

    /// Type and id of channels or calls with exactly two members, one of them one of the users.
    fn two(&self, shared: Shared) -> SelectStatement {
        let Place { members, columns, .. } = place(shared);
        let which = self.mine("user_id").add(Expr::cust(super::targets::of_two(shared)));
        self.select(members, &columns, which)
    }

    fn mine(&self, column: &'static str) -> Condition {
        Condition::all().add(self.db.backend().json().is_one_of(Expr::col(column), &self.ids))
    }

    fn select(&self, table: &'static str, columns: &[&'static str], which: Condition) -> SelectStatement {
        let in_app = Expr::col((table, "app_id")).eq(self.app.0);
        Query::select()
            .columns(columns.iter().copied())
            .from(table)
            .and_where(in_app)
            .cond_where(which)
            .take()
    }

    async fn count(
        &self,
        table: &'static str,
        key: &'static [&'static str],
        which: Vec<Option<Condition>>,
    ) -> Result<i64, StoreError> {
        let mut ways = which.into_iter().flatten().map(|which| self.select(table, key, which));
        let Some(mut found) = ways.next() else { return Ok(0) };
        // A row that is found in several ways counts once.
        found.unions(ways.map(|way| (UnionType::Distinct, way)));
        let select =
            Query::select().expr(Expr::cust("COUNT(*)")).from_subquery(found, Alias::new("found")).take();
        let row = self.db.query_one(&select).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default())
    }
}

fn is_in(pair: [&'static str; 2], of: SelectStatement) -> Condition {
    Condition::all().add(Expr::tuple(pair.map(Expr::col)).in_subquery(of))
}

//! Counting what a deletion would touch.

use std::collections::BTreeMap;

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Query, SelectStatement};

use super::shared::{Place, place};
use crate::model::deletion::{DeletePlan, Mode, Shared};
use crate::model::id::AppId;
use crate::storage::{Db, StoreError};

/// Rows by what they are; what there is none of is left out.
pub type Preview = BTreeMap<&'static str, i64>;

/// Counts what deleting these users would mark, blank or remove.
pub async fn preview(db: &Db, app: AppId, ids: &[String], plan: &DeletePlan) -> Result<Preview, StoreError> {
    let mut counting = Counting { db, app, ids, found: Preview::new() };
    if ids.is_empty() {
        return Ok(counting.found);
    }
    counting.made(plan).await?;
    for (shared, mode) in [(Shared::Channels, plan.conversations), (Shared::Calls, plan.calls)] {
        if mode != Mode::Keep {
            counting.of_two(shared, mode, plan.messages).await?;
        }
    }
    if plan.user >= Mode::Pruning {
        counting.of("devices", &["user_id"]).await?;
        let blocks: &[_] =
            if plan.user == Mode::Hard { &["user_id", "blocked_user_id"] } else { &["user_id"] };
        counting.under("blocks", "user_blocks", blocks, None).await?;
    }
    if plan.user == Mode::Hard {
        counting.of("flags", &["user_id"]).await?;
        counting.of("future_channel_bans", &["created_by_id", "target_id"]).await?;
        counting.memberships(Shared::Channels, plan.conversations).await?;
        counting.memberships(Shared::Calls, plan.calls).await?;
    }
    Ok(counting.found)
}

struct Counting<'a> {
    db: &'a Db,
    app: AppId,
    ids: &'a [String],
    found: Preview,
}

impl Counting<'_> {
    /// What the users wrote, and how they reacted.
    async fn made(&mut self, plan: &DeletePlan) -> Result<(), StoreError> {
        let feed = [("activities", "user_id"), ("comments", "user_id"), ("feeds", "created_by_id")];
        for (mode, tables, reactions) in [
            (plan.messages, &[("messages", "user_id")][..], "reactions"),
            (plan.activities, &feed[..], "feed_reactions"),
        ] {
            for (table, column) in tables {
                // What is marked already is marked no more.
                let unmarked = (mode == Mode::Soft).then(|| Expr::col("deleted_at").is_null());
                if mode != Mode::Keep {
                    self.under(table, table, &[column], unmarked).await?;
                }
            }
            if mode >= Mode::Pruning {
                self.of(reactions, &["user_id"]).await?;
            }
        }
        Ok(())
    }

    /// Channels or calls of two members, and what goes with them.
    async fn of_two(&mut self, shared: Shared, mode: Mode, messages: Mode) -> Result<(), StoreError> {
        let Place { table, members, columns: [kind, id], .. } = place(shared);
        let pair = || Expr::tuple([Expr::col(kind), Expr::col(id)]);
        let which = || Condition::all().add(pair().in_subquery(self.two(shared)));
        let number = self
            .count(
                table,
                Condition::all()
                    .add(Expr::tuple([Expr::col("type"), Expr::col("id")]).in_subquery(self.two(shared))),
            )
            .await?;
        let mut found = vec![(table, number)];
        if mode == Mode::Hard {
            found.push((members, self.count(members, which()).await?));
            if shared == Shared::Channels {
                // Those of the users themselves are counted already where they go anyway.
                let of_others =
                    which().add_option((messages != Mode::Keep).then(|| self.is_one("user_id").not()));
                found.push(("messages", self.count("messages", of_others).await?));
            }
        }
        for (name, number) in found {
            self.note(name, number);
        }
        Ok(())
    }

    /// Memberships that end in channels or calls that stay.
    async fn memberships(&mut self, shared: Shared, mode: Mode) -> Result<(), StoreError> {
        let Place { members, columns: [kind, id], .. } = place(shared);
        let mut which = Condition::all().add(self.is_one("user_id"));
        if mode == Mode::Hard {
            let pair = Expr::tuple([Expr::col(kind), Expr::col(id)]);
            which = which.add(pair.not_in_subquery(self.two(shared)));
        }
        let number = self.count(members, which).await?;
        self.note(members, number);
        Ok(())
    }

    async fn of(&mut self, table: &'static str, columns: &[&'static str]) -> Result<(), StoreError> {
        self.under(table, table, columns, None).await
    }

    async fn under(
        &mut self,
        name: &'static str,
        table: &'static str,
        columns: &[&'static str],
        also: Option<Expr>,
    ) -> Result<(), StoreError> {
        let any = columns.iter().map(|column| self.is_one(column)).fold(Condition::any(), Condition::add);
        let number = self.count(table, Condition::all().add(any).add_option(also)).await?;
        self.note(name, number);
        Ok(())
    }

    fn note(&mut self, name: &'static str, number: i64) {
        if number > 0 {
            *self.found.entry(name).or_default() += number;
        }
    }

    fn is_one(&self, column: &'static str) -> Expr {
        Expr::col(column).is_in(self.ids.iter().map(String::as_str))
    }

    /// Type and id of channels or calls with exactly two members, one of them one of the users.
    fn two(&self, shared: Shared) -> SelectStatement {
        let Place { members, columns: [kind, id], .. } = place(shared);
        Query::select()
            .columns([kind, id])
            .from(members)
            .and_where(Expr::col("app_id").eq(self.app.0))
            .and_where(self.is_one("user_id"))
            .and_where(Expr::cust(super::targets::of_two(shared)))
            .take()
    }

    async fn count(&self, table: &'static str, which: Condition) -> Result<i64, StoreError> {
        let select = Query::select()
            .expr(Expr::cust("COUNT(*)"))
            .from(table)
            .and_where(Expr::col("app_id").eq(self.app.0))
            .cond_where(which)
            .take();
        let row = self.db.query_one(&select).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default())
    }
}

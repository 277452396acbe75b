//! Items of feeds: feeds, activities, comments, reactions on both, follows.

use super::fields::{Fields, feed_id, id, reaction_type};
use crate::model::content::{Cell, Key, Kind, Naming, Row};
use crate::model::id::parse_word;

const VISIBILITIES: [&str; 5] = ["public", "visible", "followers", "members", "private"];

pub(super) fn feed(item: &mut Fields<'_>) -> Option<Row> {
    let group = item.required("group_id", parse_word);
    let feed = item.required("id", feed_id);
    let fid = item.required("fid", Ok);
    if let (Some(group), Some(feed), Some(fid)) = (&group, &feed, &fid)
        && *fid != format!("{group}:{feed}")
    {
        item.bad().add("fid", "must be `group_id:id`");
    }
    let created_by = item.user("created_by_id");
    item.set("created_by_id", Cell::Text(created_by));
    item.text("name");
    item.text("description");
    visibility(item);
    item.custom();
    item.row(Kind::Feed, [group, feed])
}

pub(super) fn activity(item: &mut Fields<'_>) -> Option<Row> {
    let activity = item.required("id", id);
    let kind = item.required("type", reaction_type);
    item.set("type", Cell::Text(kind));
    let user = item.user("user_id");
    item.set("user_id", Cell::Text(user));
    item.stands_in("fids");
    item.text("text");
    item.attachments();
    visibility(item);
    parent(item, Kind::Activity);
    item.named("mentioned_user_ids", Naming::Mention);
    item.time("updated_at");
    item.custom();
    item.row(Kind::Activity, [activity])
}

pub(super) fn comment(item: &mut Fields<'_>) -> Option<Row> {
    let comment = item.required("id", id);
    if !item.has("object_type") {
        item.bad().add("object_type", "must be given");
    }
    item.one_of("object_type", &["activity"]);
    let activity = item.required("object_id", id);
    if let Some(activity) = &activity {
        item.need("object_id", Key::new(Kind::Activity, [activity]));
    }
    item.set("activity_id", Cell::Text(activity));
    let user = item.user("user_id");
    item.set("user_id", Cell::Text(user));
    let text = item.required("text", super::fields::plain);
    item.set("text", Cell::Text(text));
    parent(item, Kind::Comment);
    item.text("status");
    item.attachments();
    item.named("mentioned_user_ids", Naming::Mention);
    item.custom();
    item.row(Kind::Comment, [comment])
}

pub(super) fn reaction(item: &mut Fields<'_>) -> Option<Row> {
    let activity = item.required("activity_id", id);
    if let Some(activity) = &activity {
        item.need("activity_id", Key::new(Kind::Activity, [activity]));
    }
    let comment = item.optional("comment_id", id);
    if let Some(comment) = &comment {
        item.need("comment_id", Key::new(Kind::Comment, [comment]));
    }
    let user = item.user("user_id");
    let kind = item.required("type", reaction_type);
    item.custom();
    // On the activity itself: of no comment.
    item.row(Kind::FeedReaction, [activity, Some(comment.unwrap_or_default()), user, kind])
}

pub(super) fn follow(item: &mut Fields<'_>) -> Option<Row> {
    let (source_group, source_id) = item.fid("source_fid");
    let (target_group, target_id) = item.fid("target_fid");
    if source_group.is_some() && (&source_group, &source_id) == (&target_group, &target_id) {
        item.bad().add("target_fid", "must not be the source itself");
    }
    let status = item.one_of("status", &["accepted", "pending", "rejected"]);
    item.set("status", Cell::Text(Some(status)));
    item.custom();
    item.row(Kind::Follow, [source_group, source_id, target_group, target_id])
}

fn visibility(item: &mut Fields<'_>) {
    let visibility = item.one_of("visibility", &VISIBILITIES);
    item.set("visibility", Cell::Text(Some(visibility)));
}

fn parent(item: &mut Fields<'_>, kind: Kind) {
    let parent = item.optional("parent_id", id);
    if let Some(parent) = &parent {
        item.need("parent_id", Key::new(kind, [parent]));
    }
    item.set("parent_id", Cell::Text(parent));
}

//! Items of chat: channels, members, messages, reactions, devices, bans to come, flags.

use super::fields::{Fields, id, plain, reaction_type, user_id};
use crate::model::content::{Cell, Key, Kind, Naming, Row};
use crate::model::id::parse_word;

const CHANNEL_RESERVED: [&str; 7] =
    ["cid", "last_message_at", "created_by_pk", "members", "config", "app_pk", "pk"];
const MESSAGE_RESERVED: [&str; 10] = [
    "tmp_id",
    "app_pk",
    "pk",
    "latest_reactions",
    "own_reactions",
    "reactions_count",
    "reply_count",
    "command",
    "quoted_message",
    "pinned_by",
];

pub(super) fn channel(item: &mut Fields<'_>) -> Option<Row> {
    item.reserve(&CHANNEL_RESERVED);
    let kind = item.required("type", parse_word);
    let members = if item.has("id") { Vec::new() } else { item.peek_users("member_ids") };
    let (id, _) = item.channel_id("id", "member_ids");
    if let (Some(kind), Some(id)) = (&kind, &id) {
        // A distinct channel is its members: it comes together with all of them.
        for (at, member) in members.iter().enumerate() {
            let key = Key::new(Kind::ChannelMember, [kind, id, member.as_str()]);
            item.need(&format!("member_ids[{at}]"), key);
        }
    }
    item.set("is_distinct", Cell::Flag(!members.is_empty()));
    let created_by = item.user("created_by");
    item.set("created_by_id", Cell::Text(created_by));
    let team = item.optional("team", team);
    item.set("team", Cell::Text(team));
    item.flag("disabled");
    item.flag("frozen");
    item.named("banned_users", Naming::Ban);
    item.time("truncated_at");
    item.time("updated_at");
    item.custom();
    item.row(Kind::Channel, [kind, id])
}

pub(super) fn member(item: &mut Fields<'_>) -> Option<Row> {
    let among = if item.has("channel_id") { Vec::new() } else { item.peek_users("channel_member_ids") };
    let user = item.user("user_id");
    if let Some(user) = &user
        && !among.is_empty()
        && !among.iter().any(|id| id.as_str() == user)
    {
        item.bad().add("user_id", "must be one of `channel_member_ids`");
    }
    let channel = item.channel();
    let moderator = item.is_set("is_moderator");
    let role = item.optional("channel_role", parse_word);
    let default = if moderator { "channel_moderator" } else { "channel_member" };
    item.set("role", Cell::Text(Some(role.unwrap_or_else(|| default.to_owned()))));
    item.flag("invited");
    item.time("invite_accepted_at");
    item.time("invite_rejected_at");
    let hidden = item.is_set("hide_channel");
    item.set("hidden", Cell::Flag(hidden));
    item.time("hide_messages_before");
    item.time("last_read");
    item.time("archived_at");
    item.custom();
    let (kind, id) = channel.unzip();
    item.row(Kind::ChannelMember, [kind, id, user])
}

pub(super) fn message(item: &mut Fields<'_>) -> Option<Row> {
    item.reserve(&MESSAGE_RESERVED);
    let message = item.required("id", id);
    let (kind, channel) = item.channel().unzip();
    item.set("channel_type", Cell::Text(kind));
    item.set("channel_id", Cell::Text(channel));
    let user = item.user("user");
    item.set("user_id", Cell::Text(user));
    item.text("text");
    item.text("html");
    let kind = item.one_of("type", &["regular", "deleted", "system", "reply"]);
    let deleted = item.has("deleted_at");
    if (kind == "deleted") != deleted {
        let (field, rule) = if deleted {
            ("type", "must be `deleted` beside `deleted_at`")
        } else {
            ("deleted_at", "must be given where `type` is `deleted`")
        };
        item.bad().add(field, rule);
    }
    let parent = item.optional("parent_id", id);
    if kind == "reply" && parent.is_none() {
        item.bad().add("parent_id", "must be given where `type` is `reply`");
    }
    if let Some(parent) = &parent {
        item.need("parent_id", Key::new(Kind::Message, [parent]));
    }
    item.set("type", Cell::Text(Some(kind)));
    item.set("parent_id", Cell::Text(parent));
    item.flag("show_in_channel");
    item.attachments();
    let quoted = item.optional("quoted_message_id", id);
    item.set("quoted_message_id", Cell::Text(quoted));
    pin(item);
    item.rename("mentioned_user_ids", "mentioned_users_ids");
    item.named("mentioned_users_ids", Naming::Mention);
    item.named("restricted_visibility", Naming::Visibility);
    item.time("updated_at");
    item.custom();
    item.row(Kind::Message, [message])
}

fn pin(item: &mut Fields<'_>) {
    let expires = item.has("pin_expires");
    let at = item.time("pinned_at");
    let by = item.optional_user("pinned_by_id");
    item.time("pin_expires");
    match (at, by.is_some()) {
        (true, false) => item.bad().add("pinned_by_id", "must be given beside `pinned_at`"),
        (false, true) => item.bad().add("pinned_at", "must be given beside `pinned_by_id`"),
        (false, false) if expires => item.bad().add("pinned_at", "must be given beside `pin_expires`"),
        _ => {}
    }
    item.set("pinned_by_id", Cell::Text(by));
}

pub(super) fn reaction(item: &mut Fields<'_>) -> Option<Row> {
    let message = item.required("message_id", id);
    if let Some(message) = &message {
        item.need("message_id", Key::new(Kind::Message, [message]));
    }
    let user = item.user("user_id");
    let kind = item.required("type", reaction_type);
    if !item.has("created_at") {
        item.bad().add("created_at", "must be given");
    }
    item.custom();
    item.row(Kind::Reaction, [message, user, kind])
}

pub(super) fn device(item: &mut Fields<'_>) -> Option<Row> {
    let device = item.required("id", id);
    let user = item.user("user_id");
    if !item.has("push_provider_type") {
        item.bad().add("push_provider_type", "must be given");
    }
    let provider = item.one_of("push_provider_type", &["firebase", "apn", "huawei", "xiaomi"]);
    item.set("push_provider_type", Cell::Text(Some(provider)));
    item.text("push_provider_name");
    item.flag("disabled");
    item.text("disabled_reason");
    item.nothing_else();
    item.row(Kind::Device, [user, device])
}

pub(super) fn future_channel_ban(item: &mut Fields<'_>) -> Option<Row> {
    let target = item.user("target_id");
    let by = item.user("created_by");
    item.text("reason");
    item.flag("shadow");
    item.nothing_else();
    item.row(Kind::FutureChannelBan, [by, target])
}

pub(super) fn flag(item: &mut Fields<'_>) -> Option<Row> {
    if !item.has("entity_type") {
        item.bad().add("entity_type", "must be given");
    }
    let kind = item.one_of("entity_type", &["message", "user", "activity", "comment"]);
    let entity = item.required("entity_id", if kind == "user" { user_id } else { id });
    if let Some(entity) = &entity {
        let kind = match kind.as_str() {
            "user" => Kind::User,
            "activity" => Kind::Activity,
            "comment" => Kind::Comment,
            _ => Kind::Message,
        };
        item.need("entity_id", Key::new(kind, [entity]));
    }
    let user = item.user("user_id");
    item.text("reason");
    item.custom();
    item.row(Kind::Flag, [Some(kind), entity, user])
}

fn team(text: String) -> Result<String, &'static str> {
    if text.len() > 100 { Err("must be at most 100 bytes") } else { plain(text) }
}

//! Content as messages.

use prost_types::{Struct, Timestamp as PbTimestamp};
use serde_json::Value;

use crate::domain::content::channels::ChannelPage;
use crate::domain::content::messages::MessageView;
use crate::model::clock::Timestamp;
use crate::proto::v1 as pb;
use crate::rpc::json::to_struct;
use crate::rpc::time::to_timestamp;

pub(super) fn channel(page: ChannelPage) -> (pb::Channel, String) {
    let ChannelPage { channel, banned_user_ids, members_total, members } = page;
    let channel = pb::Channel {
        cid: format!("{}:{}", channel.kind, channel.id),
        r#type: channel.kind,
        id: channel.id,
        created_by_id: channel.created_by_id,
        team: channel.team.unwrap_or_default(),
        distinct: channel.is_distinct,
        disabled: channel.disabled,
        frozen: channel.frozen,
        banned_user_ids,
        custom: free(channel.custom),
        created_at: at(Some(channel.created_at)),
        updated_at: at(channel.updated_at),
        truncated_at: at(channel.truncated_at),
        deleted_at: at(channel.deleted_at),
        members_total: i64::try_from(members_total).unwrap_or(i64::MAX),
        members: members
            .rows
            .into_iter()
            .map(|member| pb::ChannelMember {
                user_id: member.user_id,
                role: member.role,
                invited: member.invited,
                invite_accepted_at: at(member.invite_accepted_at),
                invite_rejected_at: at(member.invite_rejected_at),
                hidden: member.hidden,
                hide_messages_before: at(member.hide_messages_before),
                last_read: at(member.last_read),
                archived_at: at(member.archived_at),
                custom: free(member.custom),
                created_at: at(Some(member.created_at)),
            })
            .collect(),
    };
    (channel, members.next_page_token.unwrap_or_default())
}

pub(super) fn message(view: MessageView) -> pb::Message {
    let MessageView { message, mentioned_user_ids, restricted_visibility, reactions } = view;
    let attachments = match message.attachments {
        Value::Array(attachments) => attachments,
        _ => Vec::new(),
    };
    let attachments = attachments.into_iter().filter_map(|attachment| match attachment {
        Value::Object(attachment) => Some(to_struct(attachment)),
        _ => None,
    });
    pb::Message {
        id: message.id,
        cid: format!("{}:{}", message.channel_type, message.channel_id),
        user_id: message.user_id,
        // What it was comes back with it.
        r#type: if message.deleted_at.is_some() { "deleted".to_owned() } else { message.kind },
        text: message.text.unwrap_or_default(),
        html: message.html.unwrap_or_default(),
        parent_id: message.parent_id.unwrap_or_default(),
        show_in_channel: message.show_in_channel,
        attachments: attachments.collect(),
        mentioned_user_ids,
        restricted_visibility,
        quoted_message_id: message.quoted_message_id.unwrap_or_default(),
        pinned_at: at(message.pinned_at),
        pinned_by_id: message.pinned_by_id.unwrap_or_default(),
        pin_expires: at(message.pin_expires),
        reaction_counts: reactions.into_iter().collect(),
        custom: free(message.custom),
        created_at: at(Some(message.created_at)),
        updated_at: at(message.updated_at),
        deleted_at: at(message.deleted_at),
    }
}

fn at(micros: Option<i64>) -> Option<PbTimestamp> {
    micros.map(|micros| to_timestamp(Timestamp::from_micros(micros)))
}

/// Free data, not set where there is none.
fn free(data: Value) -> Option<Struct> {
    match data {
        Value::Object(object) if !object.is_empty() => Some(to_struct(object)),
        _ => None,
    }
}

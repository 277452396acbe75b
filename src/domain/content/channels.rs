//! Reading channels.

use crate::domain::page_token::Page;
use crate::domain::{Call, Domain, Error};
use crate::model::call::Cid;
use crate::model::content::{Kind, Naming};
use crate::model::id::UserId;
use crate::model::reason::Reason;
use crate::storage::channels;
use crate::storage::entity::{channel, channel_member};

/// Which channel, and which page of its members.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct GetChannel {
    pub name: ChannelName,
    pub limit: u32,
    pub page_token: String,
}

/// What names a channel.
#[derive(Debug, Clone)]
pub enum ChannelName {
    /// Its cid.
    Cid(Cid),
    /// Type and members of a distinct one.
    Members(String, Vec<UserId>),
}

/// A channel with a page of its members.
#[derive(Debug)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct ChannelPage {
    pub channel: channel::Model,
    pub banned_user_ids: Vec<String>,
    pub members_total: u64,
    pub members: Page<channel_member::Model>,
}

impl Domain {
    /// A channel, deleted or not, and its members, by user id.
    pub async fn get_channel(&self, call: &Call, get: GetChannel) -> Result<ChannelPage, Error> {
        let GetChannel { name, limit, page_token } = get;
        let app = call.app();
        let (field, cid) = match name {
            ChannelName::Cid(cid) => ("cid", cid),
            ChannelName::Members(kind, mut members) => {
                members.sort_unstable();
                ("member_ids", Cid { kind, id: self.distinct_channel(app, &members) })
            }
        };
        let query = format!("channel members {cid}");
        let after: Option<String> = self.after(call, &query, &page_token)?;
        let db = self.read(call.deadline).await?;
        let found = channels::find_channel(&db, app, &cid).await?;
        let channel = found.ok_or_else(|| Error::state(field, Reason::ChannelNotFound))?;
        let members_total = channels::count_members(&db, app, &cid).await?;
        let rows = channels::list_members(&db, app, &cid, after.as_deref(), u64::from(limit) + 1).await?;
        let members = self.page(call, &query, rows, limit as usize, |member| member.user_id.clone());
        let owner = cid.to_string();
        let named = channels::list_named(&db, app, Kind::Channel, std::slice::from_ref(&owner)).await?;
        let banned_user_ids = channels::named_for(&named, &owner, Naming::Ban);
        Ok(ChannelPage { channel, banned_user_ids, members_total, members })
    }
}

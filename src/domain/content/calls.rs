//! Reading calls.

use crate::domain::page_token::Page;
use crate::domain::{Call, Domain, Error};
use crate::model::call::{self, Cid, Member};
use crate::model::reason::Reason;
use crate::storage::calls;

/// Which call, and which page of its members.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct GetCall {
    pub cid: Cid,
    pub limit: u32,
    pub page_token: String,
}

/// A call with a page of its members.
#[derive(Debug)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct CallPage {
    pub found: call::Call,
    pub members_total: u64,
    pub members: Page<Member>,
}

impl Domain {
    /// A call and its members, by user id.
    pub async fn get_call(&self, call: &Call, get: GetCall) -> Result<CallPage, Error> {
        let GetCall { cid, limit, page_token } = get;
        let query = format!("members {cid}");
        let after: Option<String> = self.after(call, &query, &page_token)?;
        let (app, limit) = (call.app(), limit as usize);
        let db = self.read(call.deadline).await?;
        let found = calls::find_call(&db, app, &cid).await?;
        let found = found.ok_or_else(|| Error::state("cid", Reason::CallNotFound))?;
        let members_total = calls::count_members(&db, app, &cid).await?;
        let rows = calls::list_members(&db, app, &cid, after.as_deref(), limit as u64 + 1).await?;
        let members = self.page(call, &query, rows, limit, |member| member.user_id.clone());
        Ok(CallPage { found, members_total, members })
    }
}

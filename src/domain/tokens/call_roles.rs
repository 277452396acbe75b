//! What a call token can make of its user: a role that exists, for members.

use crate::domain::{Domain, Error};
use crate::model::call::DEFAULT_ROLE;
use crate::model::clock::Deadline;
use crate::model::id::AppId;
use crate::model::role;
use crate::storage::roles;

impl Domain {
    /// Whether a member of a call in `app` can have `role`: a built-in one, or one of the app's own.
    pub(super) async fn is_call_role(
        &self,
        app: AppId,
        role: &str,
        deadline: Deadline,
    ) -> Result<bool, Error> {
        if role::OF_MEMBERS.contains(&role) {
            return Ok(true);
        }
        if role::is_never_of_members(role) {
            return Ok(false);
        }
        let db = self.read(deadline).await?;
        Ok(roles::is_of_a_member(&db, app, role).await?)
    }

    /// What a call token that names `role` makes of its user: that, where the role exists.
    pub(super) async fn call_role(
        &self,
        app: AppId,
        role: String,
        deadline: Deadline,
    ) -> Result<String, Error> {
        let exists = self.is_call_role(app, &role, deadline).await?;
        Ok(if exists { role } else { DEFAULT_ROLE.to_owned() })
    }
}

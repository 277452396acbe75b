//! What the register of personal data says of records, for those who read them.

use crate::storage::columns::TABLES;
use crate::storage::columns::release::{Form, Found, Release};

/// The field of a record that always holds the id of the user whose export it is; `None` where there is none.
pub fn own_field(record: &str) -> Option<&'static str> {
    let mut fields = releases().filter(|release| release.record == record).map(own_field_of);
    let first = fields.next()??;
    // Some records come from several tables: it must be the same field in all.
    fields.all(|field| field == Some(first)).then_some(first)
}

/// The same for one release.
pub(super) fn own_field_of(release: &Release) -> Option<&'static str> {
    let (Found::By(column) | Found::ByWhere(column, _)) = release.found else { return None };
    let names_user = |form| matches!(form, Form::Person | Form::Text);
    let field = release.fields.iter().find(|field| field.column == column && names_user(field.form));
    field.map(|field| field.name)
}

/// All releases of all tables.
pub(super) fn releases() -> impl Iterator<Item = &'static Release> {
    TABLES.iter().flat_map(|table| table.released)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_name_their_user_where_the_register_finds_them_by_it() {
        let records =
            ["user", "message", "reaction", "channel", "deletion_mark", "follow", "ban_received", "x"];
        let fields = [Some("id"), Some("user"), Some("user_id"), Some("created_by"), None, None, None, None];
        assert_eq!(records.map(own_field), fields);
    }
}

//! Table `import_waiting`: items of imports that wait for what they refer to, as they came.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import_waiting")]
#[expect(missing_docs, reason = "columns; the ones that need words have them")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub import_no: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub item_offset: i64,
    /// Which one of the import it is, from 1.
    pub item_no: i64,
    /// `Key::text` of the item.
    pub item_key: String,
    /// `Key::text` of something that was not there when last looked.
    pub needs: String,
    pub bytes: i32,
    pub json: Vec<u8>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

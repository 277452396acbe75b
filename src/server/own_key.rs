//! A key as the operator brings it: its name and its secret, checked before anything is made.

use std::path::Path;

use super::config::{ConfigError, read_secret};
use crate::domain::apps::keys::NewKey;
use crate::model::{kid, secret};

/// A key called `kid` with the secret in `secret_file`; what is not given is random.
pub(super) fn own_key(kid: Option<&str>, secret_file: Option<&Path>) -> Result<NewKey, ConfigError> {
    if let Some(Err(rule)) = kid.map(kid::check) {
        return Err(ConfigError(format!("the name of the key {rule}")));
    }
    let secret = secret_file.map(read_secret).transpose()?;
    if let (Some(Err(rule)), Some(file)) = (secret.as_deref().map(secret::check), secret_file) {
        return Err(ConfigError(format!("the secret in {} {rule}", file.display())));
    }
    Ok(NewKey::new(kid.map(str::to_owned), secret))
}

//! What exports say of the controller.

use crate::model::settings::ExportAbout;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;

/// Bytes of a text, and texts of a list.
const MAX_BYTES: usize = 1_000;
const MAX_TEXTS: usize = 50;

pub(super) fn encode(about: ExportAbout) -> pb::ExportAbout {
    let ExportAbout { controller, retention, recipients, source, rights } = about;
    pb::ExportAbout { controller, retention, recipients, source, rights }
}

/// The message, whose field is called `path`; what breaks a rule is noted in `bad`.
pub(super) fn decode(message: pb::ExportAbout, path: &str, bad: &mut Violations) -> ExportAbout {
    let pb::ExportAbout { controller, retention, recipients, source, rights } = message;
    for (field, text) in [("controller", &controller), ("retention", &retention), ("source", &source)] {
        check(format!("{path}.{field}"), text, bad);
    }
    for (field, texts) in [("recipients", &recipients), ("rights", &rights)] {
        if texts.len() > MAX_TEXTS {
            bad.add(format!("{path}.{field}"), "must have at most 50 texts");
        }
        for (at, text) in texts.iter().take(MAX_TEXTS).enumerate() {
            let field = format!("{path}.{field}[{at}]");
            if text.is_empty() {
                bad.add(field, "must not be empty");
            } else {
                check(field, text, bad);
            }
        }
    }
    ExportAbout { controller, retention, recipients, source, rights }
}

fn check(field: String, text: &str, bad: &mut Violations) {
    if text.len() > MAX_BYTES || text.chars().any(char::is_control) {
        bad.add(field, "must be at most 1,000 bytes without control characters");
    }
}

//! Numbers on the wire that are kept for what is to come.

use prost::Message as _;
use prost_types::FileDescriptorSet;

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(usher::proto::DESCRIPTORS).unwrap()
}

#[test]
fn numbers_kept_for_fields_of_a_user_are_used_by_no_other_field() {
    let set = descriptors();
    let user = set.file.iter().flat_map(|file| &file.message_type).find(|message| message.name() == "User");
    let kept = [(18, "banned"), (19, "ban_expires"), (20, "shadow_banned"), (22, "devices")];
    for field in &user.unwrap().field {
        for (number, name) in kept {
            assert_eq!(field.number() == number, field.name() == name, "{number} is the number of {name}");
        }
    }
}

#[test]
fn the_number_kept_for_rate_limits_is_used_by_no_other_reason() {
    let set = descriptors();
    let reasons = set.file.iter().flat_map(|file| &file.enum_type).find(|of| of.name() == "ErrorReason");
    for value in &reasons.unwrap().value {
        let is_rate_limit = value.name() == "ERROR_REASON_RATE_LIMITED";
        assert_eq!(value.number() == 41, is_rate_limit, "{} has {}", value.name(), value.number());
    }
}

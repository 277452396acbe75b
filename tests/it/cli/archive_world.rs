//! Users who have some of everything, at random.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use crate::harness::item;

const PEOPLE: [&str; 5] = ["ada", "b@b", "c_c", "d-d", "E"];
const CHANNELS: usize = 5;
const WORDS: [&str; 6] =
    ["hello", "", "zwei\nZeilen", "\u{1f600} \u{202e}x", "a \"quote\" \\ ~1 ~c1", "<b>x</b>"];

/// A world in the making.
struct Maker {
    rng: StdRng,
    items: Vec<Value>,
    /// Seconds since the first one.
    time: u32,
    people: Vec<&'static str>,
    /// Those in the team `red`.
    red: Vec<&'static str>,
    /// How messages and members name channels, and who may be a member.
    channels: Vec<(Value, Vec<&'static str>)>,
}

/// The items of an import, each after what it refers to, and the people.
pub(super) fn world(seed: u64) -> (Vec<Value>, Vec<&'static str>) {
    let mut maker = Maker {
        rng: StdRng::seed_from_u64(seed),
        items: Vec::new(),
        time: 0,
        people: Vec::new(),
        red: Vec::new(),
        channels: Vec::new(),
    };
    maker.users();
    maker.channels();
    maker.calls();
    maker.messages();
    maker.feeds();
    maker.moderation();
    (maker.items, maker.people)
}

impl Maker {
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn up_to(&mut self, most: usize) -> usize {
        self.rng.random_range(0..=most)
    }

    fn person(&mut self) -> &'static str {
        self.people[self.rng.random_range(0..self.people.len())]
    }

    fn some(&mut self, percent: u32) -> Vec<&'static str> {
        let people = self.people.clone();
        people.into_iter().filter(|_| self.chance(percent)).collect()
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.rng.random_range(0..WORDS.len())]
    }

    fn time(&mut self) -> String {
        self.time += 1;
        let (minute, second) = (self.time / 60 % 60, self.time % 60);
        let fraction = ["", ".5", ".123456"][self.time as usize % 3];
        format!("2024-05-01T{:02}:{minute:02}:{second:02}{fraction}Z", self.time / 3_600)
    }

    /// Free data with the names of everything else.
    fn custom(&mut self) -> Value {
        let free = json!({"id": 1, "custom": {"custom": [1.5, null, {}]}, "created_at": "never", "role": "admin",
            "~1": "~c1", "é\u{200d}": [true, -3, 1e300]});
        if self.chance(30) { free } else { json!({}) }
    }

    /// Adds an item, with each of `optional` by chance.
    fn put(&mut self, kind: &str, mut fields: Value, optional: Value) {
        let (Value::Object(item_fields), Value::Object(optional)) = (&mut fields, optional) else {
            panic!("no objects")
        };
        let chosen: Map<String, Value> = optional.into_iter().filter(|_| self.chance(50)).collect();
        item_fields.extend(chosen);
        item_fields.insert("created_at".to_owned(), self.time().into());
        self.items.push(item(kind, fields));
    }

    fn users(&mut self) {
        self.people = PEOPLE.into_iter().filter(|_| self.chance(70)).collect();
        if self.people.is_empty() {
            self.people.push("ada");
        }
        for person in self.people.clone() {
            let (blocked, custom, name, time) = (self.some(20), self.custom(), self.word(), self.time());
            let mut fields = json!({"id": person, "custom": custom});
            if self.chance(50) {
                self.red.push(person);
                fields["teams"] = json!(["red", "blue"]);
                fields["teams_role"] = json!({"red": "admin"});
            }
            if self.chance(15) {
                fields["deactivated_at"] = time.clone().into();
            }
            if self.chance(15) {
                fields["deleted_at"] = time.clone().into();
            }
            let optional = json!({"name": name, "role": "moderator", "image": "https://x.org/a.png", "language": "en",
                "invisible": true, "blocked_user_ids": blocked,
                "privacy_settings": {"read_receipts": {"enabled": false}, "typing_indicators": {"enabled": true}},
                "push_notifications": {"disabled": true, "disabled_until": time}});
            self.put("user", fields, optional);
        }
        for number in 0..self.up_to(4) {
            let (person, word, provider) = (self.person(), self.word(), ["apn", "huawei"][number % 2]);
            let fields =
                json!({"id": format!("device {number}"), "user_id": person, "push_provider_type": provider});
            let optional = json!({"push_provider_name": word, "disabled": true, "disabled_reason": word});
            self.put("device", fields, optional);
        }
    }

    fn channels(&mut self) {
        for number in 0..self.up_to(CHANNELS) {
            let owner = self.person();
            let (mut members, banned, custom, time) =
                (self.some(60), self.some(20), self.custom(), self.time());
            let is_red = self.chance(20);
            if is_red {
                members.retain(|person| self.red.contains(person));
            }
            let mut fields = json!({"type": "messaging", "created_by": owner, "custom": custom});
            let mut named = json!({"channel_type": "messaging"});
            let is_new =
                !self.channels.iter().any(|(named, _)| named["channel_member_ids"] == json!(members));
            let is_distinct = self.chance(40) && !members.is_empty() && is_new;
            if is_distinct {
                fields["member_ids"] = json!(members);
                named["channel_member_ids"] = json!(members);
            } else {
                let id = format!("{}-{number}", ["general", "ada"][number % 2]);
                fields["id"] = id.clone().into();
                named["channel_id"] = id.into();
            }
            if is_red {
                fields["team"] = "red".into();
            }
            let optional = json!({"disabled": true, "frozen": true, "banned_users": banned, "truncated_at": time,
                "updated_at": time, "deleted_at": time});
            self.put("channel", fields, optional);
            for member in members.clone() {
                if is_distinct || self.chance(70) {
                    self.member(&named, member);
                }
            }
            self.channels.push((named, members));
        }
    }

    fn member(&mut self, channel: &Value, member: &str) {
        let (custom, time) = (self.custom(), self.time());
        let mut fields = channel.clone();
        fields["user_id"] = member.into();
        fields["custom"] = custom;
        let optional = json!({"channel_role": "channel_moderator", "invited": true, "invite_accepted_at": time,
            "invite_rejected_at": time, "hide_channel": true, "hide_messages_before": time, "last_read": time,
            "archived_at": time});
        self.put("member", fields, optional);
    }

    fn calls(&mut self) {
        for number in 0..self.up_to(3) {
            let (owner, custom, time, id) =
                (self.person(), self.custom(), self.time(), format!("call-{number}"));
            let fields = json!({"type": "default", "id": id, "created_by": owner, "custom": custom});
            self.put("call", fields, json!({"started_at": time, "ended_at": time}));
            for member in self.some(50) {
                let fields = json!({"call_type": "default", "call_id": id, "user_id": member});
                self.put("call_member", fields, json!({"role": "host"}));
            }
        }
    }

    fn messages(&mut self) {
        let mut roots: Vec<(String, usize)> = Vec::new();
        let mut all: Vec<String> = Vec::new();
        let most = if self.channels.is_empty() { 0 } else { 12 };
        for _ in 0..self.up_to(most) {
            // Ids in no order, so that replies come before what they reply to.
            let id = format!("m {:08x}", self.rng.random::<u32>());
            let mut at = self.rng.random_range(0..self.channels.len());
            let (author, pinner, text, custom, time) =
                (self.person(), self.person(), self.word(), self.custom(), self.time());
            let (mentioned, visible) = (self.some(30), self.some(30));
            let root = if roots.is_empty() {
                None
            } else {
                roots.get(self.rng.random_range(0..roots.len())).cloned()
            };
            let mut fields = json!({"id": id, "user": author, "custom": custom});
            match root.filter(|_| self.chance(40)) {
                Some((root, channel)) => {
                    at = channel;
                    fields["parent_id"] = root.into();
                    fields["type"] = "reply".into();
                }
                None => roots.push((id.clone(), at)),
            }
            if self.chance(20) {
                fields["type"] = "deleted".into();
                fields["deleted_at"] = time.clone().into();
            }
            if self.chance(30) {
                fields["pinned_at"] = time.clone().into();
                fields["pinned_by_id"] = pinner.into();
                fields["pin_expires"] = time.clone().into();
            }
            fields.as_object_mut().unwrap().extend(self.channels[at].0.as_object().unwrap().clone());
            if !all.is_empty() && self.chance(30) {
                fields["quoted_message_id"] = all[self.rng.random_range(0..all.len())].clone().into();
            }
            let optional = json!({"text": text, "html": text, "show_in_channel": true, "updated_at": time,
                "attachments": [{"type": "file", "asset_url": "https://x.org/a"}, {}],
                "mentioned_users_ids": mentioned, "restricted_visibility": visible});
            self.put("message", fields, optional);
            for (number, user) in self.some(30).into_iter().enumerate() {
                let custom = self.custom();
                let kind = ["like", "+1"][number % 2];
                let fields = json!({"message_id": id, "user_id": user, "type": kind, "custom": custom});
                self.put("reaction", fields, json!({}));
            }
            for user in self.some(15) {
                let fields = json!({"entity_type": "message", "entity_id": id, "user_id": user});
                self.put("flag", fields, json!({"reason": text, "more": [1]}));
            }
            all.push(id);
        }
    }

    fn feeds(&mut self) {
        let mut feeds = Vec::new();
        for person in self.some(70) {
            let (word, custom, time) = (self.word(), self.custom(), self.time());
            let visibility = ["public", "visible", "followers", "members", "private"][self.up_to(4)];
            let fid = format!("user:{person}");
            let fields = json!({"group_id": "user", "id": person, "fid": fid, "created_by_id": person, "custom": custom});
            let optional =
                json!({"name": word, "description": word, "visibility": visibility, "deleted_at": time});
            self.put("feed", fields, optional);
            feeds.push(fid);
        }
        for source in &feeds {
            for target in feeds.iter().filter(|target| *target != source) {
                if self.chance(40) {
                    let (custom, status) =
                        (self.custom(), ["accepted", "pending", "rejected"][self.up_to(2)]);
                    let fields = json!({"source_fid": source, "target_fid": target, "custom": custom});
                    self.put("follow", fields, json!({"status": status}));
                }
            }
        }
        let mut activities: Vec<String> = Vec::new();
        for _ in 0..self.up_to(if feeds.is_empty() { 0 } else { 6 }) {
            let mut within: Vec<String> = feeds.iter().filter(|_| self.chance(50)).cloned().collect();
            within.extend(within.is_empty().then(|| feeds[0].clone()));
            let id = format!("a {:08x}", self.rng.random::<u32>());
            self.activity(&id, &within, activities.last());
            self.comments(&id);
            activities.push(id);
        }
    }

    fn activity(&mut self, id: &str, feeds: &[String], before: Option<&String>) {
        let (author, text, custom, time, mentioned) =
            (self.person(), self.word(), self.custom(), self.time(), self.some(30));
        let fields = json!({"id": id, "type": "post", "user_id": author, "fids": feeds, "custom": custom});
        let optional = json!({"text": text, "attachments": [{"type": "x"}], "visibility": "private",
            "parent_id": before, "mentioned_user_ids": mentioned, "updated_at": time, "deleted_at": time});
        self.put("activity", fields, optional);
        for user in self.some(30) {
            let fields = json!({"activity_id": id, "user_id": user, "type": "like"});
            self.put("reaction", fields, json!({"custom": {"x": 1}}));
        }
    }

    fn comments(&mut self, activity: &str) {
        let mut before: Option<String> = None;
        for _ in 0..self.up_to(4) {
            let id = format!("o {:08x}", self.rng.random::<u32>());
            let (author, custom, time, mentioned) =
                (self.person(), self.custom(), self.time(), self.some(30));
            let fields = json!({"id": id, "object_type": "activity", "object_id": activity, "user_id": author,
                "text": "a comment", "custom": custom});
            let optional = json!({"parent_id": before, "status": "active", "attachments": [{"n": 1}],
                "mentioned_user_ids": mentioned, "deleted_at": time});
            self.put("comment", fields, optional);
            for user in self.some(30) {
                let fields =
                    json!({"activity_id": activity, "comment_id": id, "user_id": user, "type": "wow"});
                self.put("reaction", fields, json!({}));
                let fields = json!({"entity_type": "comment", "entity_id": id, "user_id": user});
                self.put("flag", fields, json!({"reason": "rude"}));
            }
            before = Some(id);
        }
    }

    fn moderation(&mut self) {
        for by in self.some(40) {
            for target in self.some(40) {
                let reason = self.word();
                let fields = json!({"created_by": by, "target_id": target});
                self.put("future_channel_ban", fields, json!({"reason": reason, "shadow": true}));
                let fields = json!({"entity_type": "user", "entity_id": target, "user_id": by});
                self.put("flag", fields, json!({"reason": reason}));
            }
        }
    }
}

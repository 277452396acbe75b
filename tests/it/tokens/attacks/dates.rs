//! `exp`, `nbf` and `iat`: whole seconds within the years there are, and what they say of now.

use super::{Attack, Forge, attack, refused};
use crate::harness::{TestServer, each_backend, now};

/// The last second of the year 9999.
const FAR: u64 = 253_402_300_799;

/// What is no date, whatever it is a date of; `good` is one that nothing is against.
fn malformed(good: &str) -> Vec<String> {
    let all = [
        format!("\"{good}\""),
        format!("{good}.5"),
        format!("{good}.0"),
        format!("{good}e0"),
        format!("[{good}]"),
        format!("{{\"seconds\":{good}}}"),
        "\"2024-05-01T12:00:00Z\"".to_owned(),
        "\"\"".to_owned(),
        "null".to_owned(),
        "true".to_owned(),
        "false".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "-1".to_owned(),
        "-62135596800".to_owned(),
        "-9223372036854775808".to_owned(),
        // The second after the last one of the year 9999.
        "253402300800".to_owned(),
        "9223372036854775807".to_owned(),
        "9223372036854775808".to_owned(),
        "18446744073709551615".to_owned(),
        "18446744073709551616".to_owned(),
        "1e19".to_owned(),
        "1e300".to_owned(),
        "-0.0".to_owned(),
    ];
    all.to_vec()
}

each_backend! {
    async fn a_date_is_a_whole_number_of_seconds(server: TestServer) {
        let forge = Forge::of(&server).await;
        let of = |name: &str, date: &str| forge.claims(format!(r#"{{"user_id":"ada","{name}":{date}}}"#));
        let dates = [("exp", "4102444800"), ("nbf", "1700000000"), ("iat", "1700000000")];
        let attacks = dates.into_iter().flat_map(|(name, good)| {
            let twin = of(name, good);
            malformed(good).into_iter().map(move |date| {
                attack(format!("{name} {date}"), of(name, &date), &twin).naming(format!("`{name}`"))
            })
        });
        let bounds = [
            attack("exp beyond the last year", of("exp", "253402300800"), &of("exp", "253402300799"))
                .naming("`exp`"),
            attack("nbf before the first second", of("nbf", "-1"), &of("nbf", "0")).naming("`nbf`"),
            attack("iat before the first second", of("iat", "-1"), &of("iat", "0")).naming("`iat`"),
        ];
        refused(&server, attacks.chain(bounds).collect::<Vec<_>>()).await;
    }

    async fn dates_are_kept_to_the_second(server: TestServer) {
        let forge = Forge::of(&server).await;
        let bearers = [r#""user_id":"ada""#, r#""server":true"#];
        let mut attacks: Vec<Attack> = Vec::new();
        for bearer in bearers {
            let now = now();
            let of = |name: &str, date: u64| forge.claims(format!(r#"{{{bearer},"{name}":{date}}}"#));
            let cases = [
                ("exp 0", of("exp", 0), of("exp", now + 60), "TOKEN_EXPIRED", "`exp`"),
                ("long expired", of("exp", now - 1_000_000), of("exp", now + 60), "TOKEN_EXPIRED", "`exp`"),
                ("expired a second ago", of("exp", now - 1), of("exp", now + 60), "TOKEN_EXPIRED", "`exp`"),
                ("expires now", of("exp", now), of("exp", now + 60), "TOKEN_EXPIRED", "`exp`"),
                // Five seconds are what clocks may differ by.
                ("good from a minute on", of("nbf", now + 60), of("nbf", now + 5), "TOKEN_NOT_YET_VALID", "`nbf`"),
                ("good from the year 9999 on", of("nbf", FAR), of("nbf", 0), "TOKEN_NOT_YET_VALID", "`nbf`"),
                ("of a minute ahead", of("iat", now + 60), of("iat", now + 5), "TOKEN_NOT_YET_VALID", "`iat`"),
                ("of the year 9999", of("iat", FAR), of("iat", now), "TOKEN_NOT_YET_VALID", "`iat`"),
            ];
            attacks.extend(cases.map(|(what, forged, twin, reason, named)| {
                attack(format!("{bearer}: {what}"), forged, &twin).because(reason).naming(named)
            }));
        }
        refused(&server, attacks).await;
    }
}

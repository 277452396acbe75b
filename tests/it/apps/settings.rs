//! `GetApp` and `UpdateApp`.

use prost_types::FieldMask;
use tonic::Code;

use crate::harness::{Answer, Backend, TestServer, each_backend, fields_of, on_postgres, pb, user};

fn mask(paths: &[&str]) -> FieldMask {
    FieldMask { paths: paths.iter().map(ToString::to_string).collect() }
}

fn settings() -> pb::AppSettings {
    pb::AppSettings {
        guests_enabled: false,
        guest_retention_days: 30,
        unique_names: pb::UniqueNames::Team.into(),
        max_token_validity: seconds(600),
        token_leeway: seconds(0),
        token_issuer: "https://login.example".to_owned(),
        token_audience: "chat".to_owned(),
        retention_days: 90,
        history_retention_days: 30,
        export_retention_days: 7,
        keep_archive_hours: 1,
        erasure_due_days: 14,
        export_about: Some(pb::ExportAbout {
            controller: "Example Ltd, privacy@example.com".to_owned(),
            retention: "a year".to_owned(),
            recipients: vec!["a host".to_owned()],
            source: "sign-up".to_owned(),
            rights: vec!["erasure".to_owned()],
        }),
    }
}

const ALL: [&str; 13] = [
    "guests_enabled",
    "guest_retention_days",
    "unique_names",
    "max_token_validity",
    "token_leeway",
    "token_issuer",
    "token_audience",
    "retention_days",
    "history_retention_days",
    "export_retention_days",
    "keep_archive_hours",
    "erasure_due_days",
    "export_about",
];

#[expect(clippy::unnecessary_wraps, reason = "as the message has it")]
const fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

fn defaults() -> pb::AppSettings {
    pb::AppSettings {
        guests_enabled: true,
        guest_retention_days: 0,
        unique_names: pb::UniqueNames::None.into(),
        max_token_validity: seconds(365 * 86_400),
        token_leeway: seconds(5),
        token_issuer: String::new(),
        token_audience: String::new(),
        retention_days: 0,
        history_retention_days: 1_095,
        export_retention_days: 30,
        keep_archive_hours: 24,
        erasure_due_days: 30,
        export_about: Some(pb::ExportAbout::default()),
    }
}

async fn seen(server: &TestServer) -> pb::GetAppResponse {
    server.apps().get_app(pb::GetAppRequest {}).await.answered()
}

each_backend! {
    async fn an_app_begins_with_the_defaults(server: TestServer) {
        let seen = seen(&server).await;
        let app = seen.app.unwrap();
        assert_eq!((app.name.as_str(), app.settings), ("default", Some(defaults())));
        assert!(app.created_at.is_some());
        assert_eq!(seen.monthly_active_users, 0);
    }

    async fn what_the_mask_names_changes_and_the_rest_stays(server: TestServer) {
        let days = pb::AppSettings { guest_retention_days: 30, ..defaults() };
        assert_eq!(server.set_up(settings(), &["guest_retention_days"]).await, days);
        let both = pb::AppSettings { guests_enabled: false, ..days };
        assert_eq!(server.set_up(settings(), &["guests_enabled", "guests_enabled"]).await, both);
        assert_eq!(server.set_up(settings(), &ALL).await, settings());
        let server = server.restart().await;
        assert_eq!(seen(&server).await.app.unwrap().settings, Some(settings()));
        assert_eq!(server.set_up(defaults(), &ALL).await, defaults());
    }

    async fn what_cannot_be_asked_is_refused_with_its_path(server: TestServer) {
        let cases = [
            (settings(), None, vec!["update_mask"]),
            (settings(), Some(mask(&[])), vec!["update_mask"]),
            (
                settings(),
                Some(mask(&["unique_names", "name", "*", "settings.unique_names", ""])),
                vec!["update_mask.paths[1]", "update_mask.paths[2]", "update_mask.paths[3]", "update_mask.paths[4]"],
            ),
            (
                pb::AppSettings { guest_retention_days: -1, unique_names: 0, ..settings() },
                Some(mask(&["guest_retention_days", "unique_names"])),
                vec!["settings.guest_retention_days", "settings.unique_names"],
            ),
            (
                pb::AppSettings { guest_retention_days: 3_651, unique_names: 9, ..settings() },
                Some(mask(&["guest_retention_days", "unique_names"])),
                vec!["settings.guest_retention_days", "settings.unique_names"],
            ),
            (
                pb::AppSettings {
                    max_token_validity: seconds(0),
                    token_leeway: seconds(301),
                    token_issuer: "x".repeat(256),
                    token_audience: "a\0".to_owned(),
                    retention_days: -1,
                    history_retention_days: 3_651,
                    export_retention_days: 0,
                    keep_archive_hours: 8_761,
                    erasure_due_days: -1,
                    export_about: Some(pb::ExportAbout {
                        controller: "x".repeat(1_001),
                        retention: "a\nb".to_owned(),
                        recipients: vec!["x".to_owned(), String::new()],
                        source: "\0".to_owned(),
                        rights: vec!["x".to_owned(); 51],
                    }),
                    ..settings()
                },
                Some(mask(&ALL[3..])),
                vec![
                    "settings.max_token_validity",
                    "settings.token_leeway",
                    "settings.token_issuer",
                    "settings.token_audience",
                    "settings.retention_days",
                    "settings.history_retention_days",
                    "settings.export_retention_days",
                    "settings.keep_archive_hours",
                    "settings.erasure_due_days",
                    "settings.export_about.controller",
                    "settings.export_about.retention",
                    "settings.export_about.source",
                    "settings.export_about.recipients[1]",
                    "settings.export_about.rights",
                ],
            ),
            (
                pb::AppSettings {
                    max_token_validity: seconds(365 * 86_400 + 1),
                    token_leeway: Some(prost_types::Duration { seconds: 1, nanos: 1 }),
                    ..settings()
                },
                Some(mask(&["max_token_validity", "token_leeway"])),
                vec!["settings.max_token_validity", "settings.token_leeway"],
            ),
            (
                pb::AppSettings { max_token_validity: None, token_leeway: seconds(-1), ..settings() },
                Some(mask(&["max_token_validity", "token_leeway"])),
                vec!["settings.max_token_validity", "settings.token_leeway"],
            ),
        ];
        for (settings, update_mask, fields) in cases {
            let request = pb::UpdateAppRequest { settings: Some(settings), update_mask };
            let status = server.apps().update_app(request).await;
            assert_eq!(fields_of(&status.refused(Code::InvalidArgument, "INVALID_FIELD")), fields);
        }
        assert_eq!(seen(&server).await.app.unwrap().settings, Some(defaults()), "nothing is half done");
    }

    async fn an_app_is_its_callers_own(server: TestServer) {
        let other = server.backend().create_app("shop", server.place()).await;
        let other = server.of_app(other);
        server.set_up(settings(), &["guests_enabled", "guest_retention_days", "unique_names"]).await;
        let shop = other.apps().get_app(pb::GetAppRequest {}).await.answered().app.unwrap();
        assert_eq!((shop.name.as_str(), shop.settings), ("shop", Some(defaults())));
        server.upsert(vec![user("ada")]).await;
        let ada = server.with_token(&server.user_token("ada").await);
        ada.apps().get_app(pb::GetAppRequest {}).await.refused(Code::PermissionDenied, "PERMISSION_MISSING");
        let request = pb::UpdateAppRequest { settings: Some(settings()), update_mask: Some(mask(&["guests_enabled"])) };
        ada.apps().update_app(request).await.refused(Code::PermissionDenied, "PERMISSION_MISSING");
    }

    async fn who_has_just_connected_counts_as_active(server: TestServer) {
        server.upsert(vec![user("ada"), user("bob")]).await;
        let token = server.user_token("ada").await;
        for (token, anonymous) in [(token, false), (String::new(), true)] {
            server.users().connect_user(pb::ConnectUserRequest { token, anonymous }).await.answered();
        }
        assert_eq!(seen(&server).await.monthly_active_users, 1);
    }

    async fn who_was_active_within_thirty_days_is_counted(backend: Backend) {
        let server = backend.start().await;
        let guest = pb::UserInput { role: "guest".to_owned(), ..user("guest") };
        server.upsert(vec![user("today"), user("recent"), user("long-ago"), user("never"), guest]).await;
        let place = server.place().clone();
        server.stop().await;
        let day = 86_400_000_000_i64;
        let now = i64::try_from(crate::harness::now()).unwrap() * 1_000_000;
        let times = [("today", now), ("recent", now - 29 * day), ("long-ago", now - 31 * day), ("guest", now - day)];
        for (id, time) in times {
            let statement = format!("UPDATE users SET last_active = {time} WHERE id = '{id}'");
            backend.meddle(&place, &statement).await;
        }
        let server = backend.try_start_at(&place).await.expect("the server starts");
        assert_eq!(seen(&server).await.monthly_active_users, 3);
    }
}

on_postgres! {
    async fn a_setting_counts_for_the_next_write_on_every_replica(backend: Backend) {
        let servers = backend.start_together(2).await;
        let (here, there) = (&servers[0], &servers[1]);
        there.upsert(vec![pb::UserInput { name: "Ada".to_owned(), ..user("ada") }]).await;
        for _ in 0..5 {
            here.keep_names_unique(pb::UniqueNames::App).await;
            let users = vec![pb::UserInput { name: "ada".to_owned(), ..user("bob") }];
            let request = pb::UpsertUsersRequest { users };
            let refused = there.users().upsert_users(request.clone()).await;
            refused.refused(Code::AlreadyExists, "NAME_TAKEN");
            here.keep_names_unique(pb::UniqueNames::None).await;
            there.users().upsert_users(request).await.answered();
            there.upsert(vec![user("bob")]).await;
        }
    }
}

//! SQLite on a disk that fails: what was acknowledged is there after a power cut, what was refused is not.

use std::collections::BTreeSet;

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::harness::disk::{EIO, ENOSPC, EROFS, FailingDisk, OPEN, SYNC, TRUNCATE, UNLINK, WRITE};
use crate::harness::{Backend, Caller, Process, eventually, on_sqlite, pb, reason_of, user, user_ids};

/// What callers were answered.
#[derive(Default)]
struct Ledger {
    acknowledged: BTreeSet<String>,
    refused: BTreeSet<String>,
}

impl Ledger {
    /// Writes new users, several at once; how many were refused.
    async fn write(&mut self, caller: &Caller, prefix: &str, count: usize) -> usize {
        let writes = user_ids(prefix, count).into_iter().map(|id| async {
            let request = pb::UpsertUsersRequest { users: vec![user(&id)] };
            let answer = caller.users().upsert_users(request).await;
            (id, answer.map(drop))
        });
        let mut refused = 0;
        for (id, answer) in futures_util::future::join_all(writes).await {
            match answer {
                Ok(()) => self.acknowledged.insert(id),
                Err(status) => {
                    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                    assert_eq!(reason_of(&status), "DATABASE_UNAVAILABLE", "{status:?}");
                    refused += 1;
                    self.refused.insert(id)
                }
            };
        }
        refused
    }

    /// Kills the server and compares what the next one finds.
    async fn holds_after_power_cut(self, server: Process) {
        let launch = server.kill().await.without_variables();
        let server = launch.start().await;
        let there = |ids: &BTreeSet<String>| {
            let ids: Vec<String> = ids.iter().cloned().collect();
            let server = &server;
            async move {
                let mut found = BTreeSet::new();
                for ids in ids.chunks(100) {
                    found.extend(server.read(ids).await.into_iter().map(|user| user.id));
                }
                found
            }
        };
        assert_eq!(there(&self.acknowledged).await, self.acknowledged, "acknowledged writes are there");
        assert_eq!(there(&self.refused).await, BTreeSet::new(), "refused writes are not");
        server.signal("TERM").await;
    }
}

async fn status(caller: &Caller) -> ServingStatus {
    let request = HealthCheckRequest { service: String::new() };
    caller.health().check(request).await.unwrap().into_inner().status()
}

async fn becomes(caller: &Caller, wanted: ServingStatus) {
    let what = format!("health {}", wanted.as_str_name());
    eventually(&what, || async { (status(caller).await == wanted).then_some(()) }).await;
}

async fn start(backend: &Backend) -> Option<(Process, FailingDisk)> {
    let (launch, disk) = backend.launch().on_failing_disk()?;
    Some((launch.start().await, disk))
}

on_sqlite! {
    async fn no_write_is_lost_or_invented_when_one_call_of_the_system_fails(backend: Backend) {
        let Some((server, disk)) = start(&backend).await else { return };
        let mut ledger = Ledger::default();
        let mut failures = 0;
        for (kind, error) in [(WRITE, ENOSPC), (WRITE, EIO), (SYNC, EIO), (TRUNCATE, EIO)] {
            for skip in 0..12 {
                disk.fail(kind, skip, 1, error);
                ledger.write(&server, &format!("during-{kind}-{error}-{skip}"), 4).await;
                failures += disk.mend();
                let refused = ledger.write(&server, &format!("after-{kind}-{error}-{skip}"), 2).await;
                assert_eq!(refused, 0, "the disk works again");
            }
        }
        assert!(failures >= 20, "the disk did fail: {failures}");
        assert!(ledger.refused.len() >= 20, "writes were refused: {}", ledger.refused.len());
        ledger.holds_after_power_cut(server).await;
    }

    async fn a_full_disk_refuses_writes_turns_health_and_heals_by_itself(backend: Backend) {
        let Some((server, disk)) = start(&backend).await else { return };
        let mut ledger = Ledger::default();
        let ids = user_ids("moved", 50);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;

        disk.fail(WRITE | TRUNCATE, 0, i32::MAX, ENOSPC);
        for round in 0..5 {
            ledger.write(&server, &format!("full-{round}"), 3).await;
        }
        becomes(&server, ServingStatus::NotServing).await;
        assert_eq!(server.read(&ids[..1]).await.len(), 1, "reads go on");
        assert!(disk.mend() > 0);
        becomes(&server, ServingStatus::Serving).await;

        assert_eq!(ledger.write(&server, "healed", 3).await, 0);
        assert_eq!(server.completed(&task).await.users_done, 50, "an accepted task is never lost");
        let log = server.log();
        assert_eq!(log.matches("the disk is full").count(), 1, "the log names the cause once: {log}");
        ledger.holds_after_power_cut(server).await;
    }

    async fn a_file_system_that_turns_read_only_refuses_writes_and_heals_by_itself(backend: Backend) {
        let Some((server, disk)) = start(&backend).await else { return };
        let mut ledger = Ledger::default();
        let ids = user_ids("moved", 50);
        server.seed(&ids).await;
        assert_eq!(ledger.write(&server, "before", 3).await, 0);
        let task = server.deactivate_all(&ids).await;

        disk.fail(WRITE | SYNC | TRUNCATE | OPEN | UNLINK, 0, i32::MAX, EROFS);
        for round in 0..5 {
            assert_eq!(ledger.write(&server, &format!("read-only-{round}"), 3).await, 3);
        }
        becomes(&server, ServingStatus::NotServing).await;
        assert_eq!(ledger.write(&server, "still-read-only", 3).await, 3);
        assert_eq!(server.read(&ids[..1]).await.len(), 1, "reads go on");
        assert!(disk.mend() > 0);
        becomes(&server, ServingStatus::Serving).await;

        assert_eq!(ledger.write(&server, "healed", 3).await, 0);
        assert_eq!(server.completed(&task).await.users_done, 50, "an accepted task is never lost");
        let log = server.log();
        let causes: Vec<_> = log.lines().filter(|line| line.contains("file cannot be used")).collect();
        assert!(causes.len() == 1 && causes[0].contains("it is read-only"), "the log names the cause once: {log}");
        ledger.holds_after_power_cut(server).await;
    }

    async fn no_write_is_lost_or_invented_when_a_transaction_does_not_begin_or_end(backend: Backend) {
        for point in ["sqlite_begin", "sqlite_savepoint", "sqlite_release", "sqlite_commit"] {
            let launch = backend.launch();
            // Start-up writes a handful of times.
            let server = launch.failpoints(&format!("{point}=30*off->1*return->10*off->5*return->off")).start().await;
            let mut ledger = Ledger::default();
            for round in 0..60 {
                ledger.write(&server, &format!("{point}-{round}").replace('_', "-"), 2).await;
            }
            assert!(!ledger.refused.is_empty(), "{point} was passed");
            ledger.holds_after_power_cut(server).await;
        }
    }

    async fn a_failing_sync_reaches_no_caller_as_success(backend: Backend) {
        let Some((server, disk)) = start(&backend).await else { return };
        let mut ledger = Ledger::default();
        disk.fail(SYNC, 0, i32::MAX, EIO);
        let refused = ledger.write(&server, "unsynced", 8).await;
        disk.mend();
        assert_eq!(refused, 8);
        becomes(&server, ServingStatus::Serving).await;
        assert_eq!(ledger.write(&server, "synced", 8).await, 0);
        ledger.holds_after_power_cut(server).await;
    }
}

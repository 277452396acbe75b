//! Walking through all users while others change them: who stands still is seen once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::query::by;
use super::stream::{everybody, streamed};
use crate::harness::{Answer, Caller, TestServer, aside, each_backend, pb, user, user_ids};

/// Twenty who write while `walk` walks through all users, some of whom stand still.
async fn undisturbed(server: &Caller, walk: impl AsyncFn(usize) -> Vec<String>) {
    // Every second one stands still; the others come, go and change.
    let ids = user_ids("u", 1_200);
    let stable: Vec<String> = ids.iter().step_by(2).cloned().collect();
    server.seed(&ids).await;
    let written: Arc<AtomicUsize> = Arc::default();
    let writers: Vec<_> = (0..20)
        .map(|writer| {
            let (caller, written) = (server.on_another_connection(), Arc::clone(&written));
            let mine: Vec<String> = ids.iter().skip(1).step_by(2).skip(writer).step_by(20).cloned().collect();
            aside(async move {
                for round in 0_u64.. {
                    let named = |id: &String| pb::UserInput { name: format!("{round} {writer}"), ..user(id) };
                    let mut users: Vec<_> = mine.iter().map(named).collect();
                    // Some come for a while; without end they would slow the walk down without end.
                    let new = format!("new-{writer}-{round}");
                    users.extend((round < 20).then(|| user(&new)));
                    let request = pb::UpsertUsersRequest { users };
                    if caller.users().upsert_users(request).await.is_ok() {
                        written.fetch_add(1, Ordering::Relaxed);
                    }
                    let request = pb::DeactivateUserRequest { user_id: new, ..Default::default() };
                    caller.users().deactivate_user(request).await.ok();
                }
            })
        })
        .collect();
    for round in 0..3 {
        let before = written.load(Ordering::Relaxed);
        // A walk may be over before the next write is; it proves little, and another one follows.
        while written.load(Ordering::Relaxed) == before {
            let mut seen: HashMap<String, usize> = HashMap::new();
            for id in walk(round).await {
                *seen.entry(id).or_default() += 1;
            }
            for id in &stable {
                assert_eq!(seen.get(id), Some(&1), "{id} is undisturbed");
            }
        }
    }
    writers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// The ids of all pages.
async fn paged(caller: &Caller, sort: Vec<pb::SortKey>) -> Vec<String> {
    let mut request = pb::QueryUsersRequest { sort, limit: 100, ..Default::default() };
    let mut ids = Vec::new();
    loop {
        let page = caller.users().query_users(request.clone()).await.answered();
        ids.extend(page.users.into_iter().map(|user| user.id));
        if page.next_page_token.is_empty() {
            return ids;
        }
        request.page_token = page.next_page_token;
    }
}

each_backend! {
    async fn pages_of_any_order_show_each_of_them_once(server: TestServer) {
        undisturbed(&server, async |round| {
            let sort = match round {
                0 => Vec::new(),
                1 => vec![by("name", pb::SortDirection::Asc, pb::SortType::Unspecified)],
                _ => vec![by("updated_at", pb::SortDirection::Desc, pb::SortType::Unspecified)],
            };
            paged(&server, sort).await
        })
        .await;
    }

    async fn a_stream_sends_each_of_them_once(server: TestServer) {
        undisturbed(&server, async |_| streamed(&server, everybody()).await).await;
    }
}

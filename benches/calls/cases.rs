//! The cases: what is called, with what, by how many.

use serde_json::json;

use crate::harness::{Answer as _, pb, struct_of};
use crate::load::Line;
use crate::work::{Stream, Tasks, Unary};
use crate::{Bench, Case};

/// Users there are.
const USERS: u64 = 10_000;
/// Those with the same `code`.
const SAME_CODE: u64 = 2;
/// Those whose tokens and sessions are used.
const SIGNED_IN: u64 = 100;
/// Who watches one task, over how many connections, and of how many users it is.
const WATCHERS: usize = 1_000;
const WATCHED_FROM: usize = 10;
const WATCHED_USERS: usize = 500;
/// Most callers where nothing else is said.
const CALLERS: usize = 16;
const MANY: usize = 64;

fn id(number: u64) -> String {
    format!("user-{:05}", number % USERS)
}

/// Numbers of users in no order, each as often as any other.
const fn scattered(number: u64) -> u64 {
    number.wrapping_mul(7_919) % USERS
}

fn input(user: u64, seen: u64) -> pb::UserInput {
    pb::UserInput {
        id: id(user),
        name: format!("Name{} Surname{user}", user % 997),
        custom: Some(struct_of(json!({
            "code": format!("c{}", user / SAME_CODE), "level": user, "plan": format!("plan-{}", user % 20),
            "city": format!("city-{}", user / 20), "seen": seen,
        }))),
        ..Default::default()
    }
}

fn upsert(first: u64, count: u64, seen: u64) -> pb::UpsertUsersRequest {
    pb::UpsertUsersRequest { users: (0..count).map(|user| input((first + user) % USERS, seen)).collect() }
}

impl Bench<'_> {
    pub(crate) async fn seed(&self) {
        for first in (0..USERS).step_by(500) {
            self.server.caller().users().upsert_users(upsert(first, 500, 0)).await.answered();
        }
    }

    /// Measures all that is wanted.
    pub(crate) async fn cases(&self) {
        self.reads().await;
        self.writes().await;
        self.sign_ins().await;
        self.tasks().await;
    }

    async fn unary(&self, name: &'static str, callers: usize, work: Unary) {
        if self.wants(name) {
            let echoed = work.first();
            self.run(Case { name, callers, parts: 1, work, echoed }).await;
        }
    }

    async fn reads(&self) {
        let get =
            |number| pb::GetUsersRequest { user_ids: vec![id(scattered(number))], ..Default::default() };
        self.unary("GetUsers one", MANY, Unary::new("/usher.v1.UserService/GetUsers", get)).await;
        let path = "/usher.v1.UserService/QueryUsers";
        let few = |number| {
            let filter = Some(struct_of(json!({"code": format!("c{}", scattered(number) / SAME_CODE)})));
            pb::QueryUsersRequest { filter, ..Default::default() }
        };
        self.unary("QueryUsers selective", CALLERS, Unary::new(path, few)).await;
        let broad = |_| {
            let sort = vec![pb::SortKey { field: "name".to_owned(), ..Default::default() }];
            let filter = Some(struct_of(json!({"level": {"$gte": 0}})));
            pb::QueryUsersRequest { filter, sort, limit: 30, ..Default::default() }
        };
        self.unary("QueryUsers broad sorted", CALLERS, Unary::new(path, broad)).await;
        let name = "StreamUsers all";
        if self.wants(name) {
            let (work, echoed) = (Stream(pb::StreamUsersRequest::default()), vec![0; 16]);
            let parts = u32::try_from(USERS).unwrap();
            self.run(Case { name, callers: 2, parts, work, echoed }).await;
        }
    }

    async fn writes(&self) {
        let path = "/usher.v1.UserService/UpsertUsers";
        let one = |number| upsert(scattered(number), 1, number);
        self.unary("UpsertUsers one, 16 callers", CALLERS, Unary::new(path, one)).await;
        self.unary("UpsertUsers one, 64 callers", MANY, Unary::new(path, one)).await;
        let hundred = |number| upsert(number * 100, 100, number);
        self.unary("UpsertUsers hundred", 4, Unary::new(path, hundred)).await;
        let partial = |number| {
            let set = Some(struct_of(json!({"seen": number})));
            let users = vec![pb::UserPatch { id: id(scattered(number)), set, ..Default::default() }];
            pb::UpdateUsersPartialRequest { users }
        };
        let path = "/usher.v1.UserService/UpdateUsersPartial";
        self.unary("UpdateUsersPartial one", CALLERS, Unary::new(path, partial)).await;
    }

    async fn sign_ins(&self) {
        let server = self.server.caller();
        let (mut tokens, mut sessions) = (Vec::new(), Vec::new());
        for user in 0..SIGNED_IN {
            let token = server.user_token(&id(user)).await;
            let request = pb::ConnectUserRequest { token: token.clone(), ..Default::default() };
            sessions.push(server.users().connect_user(request).await.answered().session_id);
            tokens.push(token);
        }
        let some = |number: u64| usize::try_from(number % SIGNED_IN).unwrap();
        let known = tokens.clone();
        let verify = move |number| pb::VerifyTokenRequest { token: known[some(number)].clone() };
        self.unary("VerifyToken", MANY, Unary::new("/usher.v1.TokenService/VerifyToken", verify)).await;
        let alive = move |number| pb::KeepAliveRequest { session_ids: vec![sessions[some(number)].clone()] };
        self.unary("KeepAlive one", CALLERS, Unary::new("/usher.v1.UserService/KeepAlive", alive)).await;
        let connect =
            move |number| pb::ConnectUserRequest { token: tokens[some(number)].clone(), anonymous: false };
        self.unary("ConnectUser", CALLERS, Unary::new("/usher.v1.UserService/ConnectUser", connect)).await;
    }

    async fn tasks(&self) {
        let name = "DeactivateUsers one, watched";
        if self.wants(name) {
            let work = Tasks { users: (0..USERS).map(|user| vec![id(user)]).collect(), watchers: Vec::new() };
            let echoed = work.begin(0).1;
            self.run(Case { name, callers: CALLERS, parts: 1, work, echoed }).await;
        }
        let name = "WatchTask, 1,000 watchers";
        if self.wants(name) {
            let mut lines: Vec<Line> = Vec::new();
            for _ in 0..WATCHED_FROM {
                lines.push(self.target().connect().await);
            }
            let watchers = lines.into_iter().cycle().take(WATCHERS).collect();
            let ids: Vec<String> = (0..USERS).map(id).collect();
            let users = ids.chunks(WATCHED_USERS).map(<[String]>::to_vec).collect();
            let (work, echoed) = (Tasks { users, watchers }, vec![0; 40]);
            let parts = u32::try_from(WATCHERS).unwrap();
            self.run(Case { name, callers: 1, parts, work, echoed }).await;
        }
    }
}

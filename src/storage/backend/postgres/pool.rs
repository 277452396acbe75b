//! Connections that are kept, and lent to one statement or transaction at a time.
//!
//! Every step is bounded: waiting for a place, connecting, looking whether a connection still answers, and
//! getting one back whose caller is gone. sqlx's own pool waits without a bound for a connection that is
//! given back, and cancels nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use sea_orm::sqlx;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::connect::Connect;
use super::control::{self, Control};
use super::session::{KIND, Pulse, Session, of_query};

/// How long a connection is waited for, made or given back by another.
const ACQUIRE: Duration = Duration::from_secs(2);
/// A connection that was not used for so long is asked before it is lent, and answers within this.
const FRESH: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_millis(500);
/// A statement whose caller is gone ends by then, or its connection is given up.
const SETTLE: Duration = Duration::from_secs(1);
/// Connections are replaced at this age, so that load follows what the address leads to.
const LIFETIME: Duration = Duration::from_mins(30);
/// Connections that were not needed for so long are ended.
const IDLE: Duration = Duration::from_mins(10);

/// A pool. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

pub(super) struct Inner {
    connect: Connect,
    pub(super) control: Control,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    pulses: Mutex<Vec<Weak<Pulse>>>,
    /// Connections of an earlier generation are not lent any more.
    generation: AtomicU64,
    settling: TaskTracker,
}

struct Idle {
    session: Session,
    since: Instant,
    generation: u64,
}

/// A connection that is lent; it goes back when dropped.
pub(super) struct Lease {
    /// Taken when it goes back.
    session: Option<(Session, OwnedSemaphorePermit)>,
    generation: u64,
    pool: Arc<Inner>,
}

impl Pool {
    /// A pool of at most `places` connections, none of which is made yet.
    #[expect(clippy::disallowed_methods, reason = "ends with the pool")]
    pub(super) fn new(connect: Connect, control: Control, places: u32) -> Self {
        let inner = Arc::new(Inner {
            connect,
            control,
            places: Arc::new(Semaphore::new(places as usize)),
            idle: Mutex::default(),
            pulses: Mutex::default(),
            generation: AtomicU64::new(0),
            settling: TaskTracker::new(),
        });
        tokio::spawn(control::watch(Arc::downgrade(&inner)));
        Self(inner)
    }

    /// Lends a connection.
    pub(super) async fn lease(&self) -> Result<Lease, sqlx::Error> {
        let lease = async {
            let place = Arc::clone(&self.0.places).acquire_owned().await;
            let place = place.map_err(|_| sqlx::Error::PoolClosed)?;
            let (session, generation) = self.0.session().await?;
            Ok(Lease { session: Some((session, place)), generation, pool: Arc::clone(&self.0) })
        };
        tokio::time::timeout(ACQUIRE, lease).await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    /// Lends a connection within a transaction.
    pub(super) async fn begin(&self, access: &str, timeout: Option<Duration>) -> Result<Lease, sqlx::Error> {
        let mut lease = self.lease().await?;
        let timeout = timeout.or(self.0.connect.default_timeout());
        let begun = lease.session().begin(access, timeout, self.0.connect.settings());
        // Behind a pooler this waits for a server process.
        tokio::time::timeout(ACQUIRE, begun).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
        Ok(lease)
    }

    /// Lends no connection that was made before now.
    pub(super) fn renew(&self) {
        self.0.renew();
    }

    /// Lends no more, and ends all connections.
    pub(super) async fn close(&self) {
        self.0.places.close();
        self.0.settling.close();
        self.0.settling.wait().await;
        for idle in self.0.take_idle() {
            tokio::time::timeout(ANSWER, idle.session.part()).await.ok();
        }
        self.0.control.close().await;
    }

    /// Runs one statement; behind a pooler in a transaction of its own.
    async fn lease_for_statement(&self) -> Result<Lease, DbErr> {
        let lease = if self.0.connect.pooled() { self.begin("", None).await } else { self.lease().await };
        lease.map_err(of_query)
    }
}

impl Inner {
    async fn session(&self) -> Result<(Session, u64), sqlx::Error> {
        while let Some(mut idle) = self.pop() {
            if idle.generation != self.generation.load(Ordering::Acquire) || idle.session.age() > LIFETIME {
                continue;
            }
            let fresh = idle.since.elapsed() < FRESH;
            if fresh || matches!(tokio::time::timeout(ANSWER, idle.session.quiet()).await, Ok(Ok(()))) {
                return Ok((idle.session, idle.generation));
            }
            // What happened to this one most likely happened to the others.
            self.renew();
        }
        let generation = self.generation.load(Ordering::Acquire);
        let session = self.connect.session(ACQUIRE).await?;
        let mut pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.retain(|pulse| pulse.strong_count() > 0);
        pulses.push(Arc::downgrade(session.pulse()));
        Ok((session, generation))
    }

    /// The one that was used last; those that were not needed for long are ended.
    fn pop(&self) -> Option<Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < IDLE);
        idle.pop()
    }

    fn put(&self, session: Session, generation: u64) {
        if !self.places.is_closed() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(Idle { session, since: Instant::now(), generation });
        }
    }

    fn take_idle(&self) -> Vec<Idle> {
        std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn renew(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.control.renew();
        drop(self.take_idle());
    }

    /// Sessions that have waited for an answer for `at_least`, and what marks their statement.
    pub(super) fn waiting(&self, at_least: Duration) -> Vec<(Arc<Pulse>, u64)> {
        let pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pulses.iter().filter_map(Weak::upgrade).filter(|pulse| pulse.process() != 0);
        known.filter_map(|pulse| pulse.waiting(at_least).map(|sent| (pulse, sent))).collect()
    }
}

impl Lease {
    #[expect(clippy::expect_used, reason = "only dropping takes it")]
    pub(super) fn session(&mut self) -> &mut Session {
        let (session, _) = self.session.as_mut().expect("it is taken when the lease is dropped");
        session
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((mut session, place)) = self.session.take() else { return };
        let (pool, generation) = (Arc::clone(&self.pool), self.generation);
        if session.is_unusable() {
            // A failover or a restart ends all of a generation; each would otherwise fail one more caller.
            if generation == pool.generation.load(Ordering::Acquire) {
                pool.renew();
            }
        } else if session.is_settled() {
            pool.put(session, generation);
        } else if let Ok(runtime) = Handle::try_current() {
            let settle = async move {
                let settled = tokio::time::timeout(SETTLE, session.settle(&pool.control)).await;
                if matches!(settled, Ok(Ok(()))) {
                    pool.put(session, generation);
                }
                drop(place);
            };
            runtime.spawn(self.pool.settling.track_future(settle));
        }
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        KIND
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut lease = self.lease_for_statement().await?;
        let done = lease.session().execute(statement).await?;
        lease.end().await?;
        Ok(done)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut lease = self.lease_for_statement().await?;
        let done = lease.session().execute_text(sql).await?;
        lease.end().await?;
        Ok(done)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut lease = self.lease_for_statement().await?;
        let found = lease.session().query_one(statement).await?;
        lease.end().await?;
        Ok(found)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut lease = self.lease_for_statement().await?;
        let found = lease.session().query_all(statement).await?;
        lease.end().await?;
        Ok(found)
    }
}

impl Lease {
    /// Ends the transaction of a single statement, where there is one.
    async fn end(mut self) -> Result<(), DbErr> {
        let session = self.session();
        if session.is_settled() {
            Ok(())
        } else {
            session.commit().await.map_err(|err| of_query(err.into_driver()))
        }
    }
}

/// A transaction that is being worked in.
pub(super) struct Transaction(tokio::sync::Mutex<Lease>);

impl Transaction {
    pub(super) fn new(lease: Lease) -> Self {
        Self(tokio::sync::Mutex::new(lease))
    }

    /// The connection, once nobody works in the transaction any more.
    pub(super) fn into_lease(self) -> Lease {
        self.0.into_inner()
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        KIND
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.0.lock().await.session().execute(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.0.lock().await.session().execute_text(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.0.lock().await.session().query_one(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.0.lock().await.session().query_all(statement).await
    }
}

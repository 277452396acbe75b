//! A way to a database that can fail as networks do: it goes dead, so that bytes no longer pass and nothing is
//! closed, as when a host or a switch is gone; or it is cut around a COMMIT. It can also change what is answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::aside;

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The database does not hear the COMMIT.
    Before,
    /// The database has committed, and its answer does not pass.
    After,
}

/// Leads to one address until frozen.
pub(crate) struct Proxy {
    address: SocketAddr,
    frozen: Arc<Notify>,
    cuts: Arc<Cuts>,
    other_words: Arc<OtherWords>,
}

#[derive(Default)]
struct Cuts {
    next: Mutex<Option<Cut>>,
    done: AtomicUsize,
}

/// What answers say, and what is made of it; both have one length, since the protocol counts bytes.
type OtherWords = Mutex<Option<(Vec<u8>, Vec<u8>)>>;

impl Proxy {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (frozen, cuts) = (Arc::new(Notify::new()), Arc::new(Cuts::default()));
        let (ends, scissors) = (Arc::clone(&frozen), Arc::clone(&cuts));
        let other_words = Arc::<OtherWords>::default();
        let words = Arc::clone(&other_words);
        aside(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (ends, scissors) = (Arc::clone(&ends), Arc::clone(&scissors));
                let words = Arc::clone(&words);
                aside(async move {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    let frozen = tokio::select! {
                        _ = pass(&mut near, &mut far, &scissors, &words) => false,
                        () = ends.notified() => true,
                    };
                    if frozen {
                        // Both sockets stay open, and silent, as long as the test runs.
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { address, frozen, cuts, other_words }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing pass any more, on any connection there is.
    pub(crate) fn freeze(&self) {
        self.frozen.notify_waiters();
    }

    /// Cuts the next connection that commits.
    pub(crate) fn cut_next(&self, cut: Cut) {
        *self.cuts.next.lock().unwrap() = Some(cut);
    }

    /// Puts `instead` where an answer says `word`.
    pub(crate) fn answer_instead(&self, word: &str, instead: &str) {
        assert_eq!(word.len(), instead.len(), "the protocol counts bytes");
        *self.other_words.lock().unwrap() = Some((word.into(), instead.into()));
    }

    /// How many connections were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.done.load(Ordering::SeqCst)
    }
}

/// Passes bytes both ways until one side closes, or the connection is cut.
async fn pass(
    near: &mut TcpStream,
    far: &mut TcpStream,
    cuts: &Cuts,
    other_words: &OtherWords,
) -> std::io::Result<()> {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = near.read(&mut asked) => {
                let bytes = &asked[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                let commits = bytes.windows(7).any(|window| window == b"COMMIT\0");
                let cut = if commits { cuts.next.lock().unwrap().take() } else { None };
                if cut != Some(Cut::Before) {
                    far.write_all(bytes).await?;
                }
                if let Some(cut) = cut {
                    if cut == Cut::After {
                        // Whatever the answer begins with: it was committed.
                        far.read_exact(&mut answered[..1]).await?;
                    }
                    cuts.done.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
            }
            read = far.read(&mut answered) => {
                let bytes = &mut answered[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                replace(bytes, other_words);
                near.write_all(bytes).await?;
            }
        }
    }
}

fn replace(bytes: &mut [u8], other_words: &OtherWords) {
    let other_words = other_words.lock().unwrap();
    let Some((word, instead)) = &*other_words else { return };
    while let Some(at) = bytes.windows(word.len()).position(|window| window == word) {
        bytes[at..at + word.len()].copy_from_slice(instead);
    }
}

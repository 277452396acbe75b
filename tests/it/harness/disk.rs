//! A disk that fails on demand, for the real program over SQLite.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::process::Launch;
use super::setting::{is_on, tell};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/harness/failing_disk.c");

/// Calls that can fail, as bits.
pub(crate) const WRITE: i32 = 1;
pub(crate) const SYNC: i32 = 2;
pub(crate) const TRUNCATE: i32 = 4;
/// To open a file in order to write, or to make it.
pub(crate) const OPEN: i32 = 8;
pub(crate) const UNLINK: i32 = 16;

/// Errors of the operating system.
pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;
pub(crate) const EROFS: i32 = 30;

/// The control of one program's disk.
pub(crate) struct FailingDisk(File);

impl FailingDisk {
    /// Lets `kinds` of calls fail with `error`: `skip` of them succeed first, then `count` fail.
    pub(crate) fn fail(&self, kinds: i32, skip: i32, count: i32, error: i32) {
        self.0.write_all_at(&words([skip, count, error, 0]), 4).unwrap();
        // Last, as it is what arms the rest.
        self.0.write_all_at(&kinds.to_ne_bytes(), 0).unwrap();
    }

    /// Lets everything succeed again; how many calls have failed.
    pub(crate) fn mend(&self) -> i32 {
        self.0.write_all_at(&0_i32.to_ne_bytes(), 0).unwrap();
        let mut failed = [0; 4];
        self.0.read_exact_at(&mut failed, 16).unwrap();
        i32::from_ne_bytes(failed)
    }
}

fn words(words: [i32; 4]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

impl Launch {
    /// Puts the program on a disk that can fail. `None` where there is no C compiler, which is then said.
    pub(crate) fn on_failing_disk(self) -> Option<(Self, FailingDisk)> {
        let Some(library) = library() else {
            assert!(!is_on("USHER_REQUIRE_FOREIGN"), "a C compiler is required");
            tell("A test with a failing disk is skipped: it needs Linux and a C compiler.");
            return None;
        };
        let control = self.place().data_dir.with_extension("disk");
        std::fs::write(&control, [0; 20]).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&control).unwrap();
        let launch = self
            .variable("LD_PRELOAD", library.to_str().unwrap())
            .variable("FAILING_DISK", control.to_str().unwrap());
        Some((launch, FailingDisk(file)))
    }
}

/// The shim, compiled once a run of the tests.
fn library() -> Option<PathBuf> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let compile = || {
        let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("failing_disk.so");
        let draft = library.with_extension(std::process::id().to_string());
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&draft).args([SOURCE, "-ldl"]);
        let compiled = cfg!(target_os = "linux") && command.status().is_ok_and(|status| status.success());
        compiled.then(|| {
            std::fs::rename(&draft, &library).unwrap();
            library
        })
    };
    LIBRARY.get_or_init(compile).clone()
}

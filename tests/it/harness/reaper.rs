//! Ends the programs that tests have started, should the test process itself be killed.
//!
//! A shell reads their numbers from a pipe this process holds. However this process ends, the pipe closes,
//! and the shell kills what is left.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

const SHELL: &str = r#"
trap '' HUP INT TERM
pids=" "
while read -r sign pid; do
    case $sign in
        +) pids="$pids$pid " ;;
        -) pids="${pids% "$pid" *} ${pids##* "$pid" }" ;;
    esac
done
for pid in $pids; do
    case "$(ps -o comm= -p "$pid")" in usher | pgbouncer | python*) kill -9 "$pid" ;; esac
done
"#;

static REAPER: OnceLock<Mutex<Child>> = OnceLock::new();

/// A program to be killed, unless it has ended before.
pub(crate) struct Ward(u32);

impl Ward {
    pub(crate) fn of(pid: u32) -> Self {
        tell(&format!("+ {pid}\n"));
        Self(pid)
    }
}

impl Drop for Ward {
    fn drop(&mut self) {
        tell(&format!("- {}\n", self.0));
    }
}

fn tell(line: &str) {
    let reaper = REAPER.get_or_init(|| {
        let shell = Command::new("sh").args(["-c", SHELL]).stdin(Stdio::piped()).spawn();
        Mutex::new(shell.expect("a shell can be run"))
    });
    let mut reaper = reaper.lock().unwrap();
    reaper.stdin.as_mut().expect("the pipe is open").write_all(line.as_bytes()).unwrap();
}

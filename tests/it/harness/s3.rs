//! A real S3 server (moto, in Python) that can be made to fail.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::process::Launch;
use super::reaper::Ward;
use super::setting::{is_on, setting, tell};

/// Has a bucket `archives`. Ends when dropped.
pub(crate) struct S3 {
    port: u16,
    http: reqwest::Client,
    _child: Child,
    _ward: Ward,
}

impl S3 {
    /// Starts one; `None` where there is no moto, which is then said.
    pub(crate) async fn start() -> Option<Self> {
        let python = setting("USHER_TEST_PYTHON").unwrap_or_else(|| "python3".to_owned());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/s3.py");
        let mut command = Command::new(python);
        command.arg(script).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().expect("Python can be run");
        let ward = Ward::of(child.id().expect("it was not waited for"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(port) = lines.next_line().await.unwrap() else {
            assert!(!is_on("USHER_REQUIRE_FOREIGN"), "moto is required");
            tell("A test with an object store is skipped: moto[server] is missing in Python.");
            return None;
        };
        // Asked for by the client, though it speaks no TLS here. Another test may have set it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let s3 =
            Self { port: port.parse().unwrap(), http: reqwest::Client::new(), _child: child, _ward: ward };
        s3.put("archives", "").await;
        Some(s3)
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    async fn put(&self, path: &str, body: &str) {
        let answer = self.http.put(self.url(path)).body(body.to_owned()).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// Keeps versions of what is overwritten and deleted from now on.
    pub(crate) async fn keep_versions(&self) {
        let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        self.put("archives?versioning", on).await;
    }

    /// Replaces the faults; see `tests/python/s3.py`.
    pub(crate) async fn fail(&self, faults: Value) {
        let answer = self.http.post(self.url("-/faults")).body(faults.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// Ends all faults.
    pub(crate) async fn heal(&self) {
        self.fail(json!({})).await;
    }

    /// Objects, versions, uploads under way, and how many puts there were.
    pub(crate) async fn world(&self) -> Value {
        let answer = self.http.get(self.url("-/world")).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// How many objects there are, versions of any, and uploads under way.
    pub(crate) async fn held(&self) -> [u64; 3] {
        let world = self.world().await;
        let objects = world["objects"].as_array().unwrap().len() as u64;
        [objects, world["versions"].as_u64().unwrap(), world["uploads"].as_u64().unwrap()]
    }

    /// What is at a URL: status, name of the file, bytes.
    pub(crate) async fn fetch(&self, url: &str) -> (u16, String, Vec<u8>) {
        let answer = self.http.get(url).send().await.unwrap();
        let disposition = answer.headers().get("content-disposition").map(|value| value.to_str().unwrap());
        let (status, name) = (answer.status().as_u16(), disposition.unwrap_or_default().to_owned());
        (status, name, answer.bytes().await.unwrap().to_vec())
    }
}

impl Launch {
    /// Keeps archives in the bucket, below a prefix.
    #[must_use]
    pub(crate) fn archives_in(self, s3: &S3) -> Self {
        self.archives_in_bucket(s3, "archives")
    }

    /// The same in a bucket of this name.
    #[must_use]
    pub(crate) fn archives_in_bucket(self, s3: &S3, bucket: &str) -> Self {
        self.variable("USHER_OBJECT_STORE_URL", &format!("s3://{bucket}/usher/exports"))
            .variable("AWS_ENDPOINT_URL", &s3.url(""))
            .variable("AWS_ACCESS_KEY_ID", "key")
            .variable("AWS_SECRET_ACCESS_KEY", "secret")
            .variable("AWS_REGION", "us-east-1")
    }
}

//! A bucket of S3, or of a store that speaks like it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use object_store::{
    BackoffConfig, ClientOptions, Error, GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _,
    PutResult, RetryConfig,
};
use prost::bytes::Bytes;
use url::Url;
use uuid::Uuid;

use super::versions::Versions;
use super::{ObjectStoreError, differs};

/// One request, with its answer.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// Attempts at a request, and for how long they go on: then the caller decides.
const RETRIES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(10);
/// Characters of an error text that are passed on.
const TEXT: usize = 300;
/// The version of objects in a bucket that keeps none.
const NO_VERSION: &str = "null";

#[derive(Debug)]
pub(super) struct Bucket {
    s3: AmazonS3,
    prefix: Path,
    versions: Versions,
    /// Whether it was seen to keep versions of what is overwritten and deleted.
    is_versioned: AtomicBool,
}

impl Bucket {
    pub(super) fn open(url: &Url) -> Result<Self, String> {
        let bucket = url.host_str().filter(|host| !host.is_empty());
        let bucket = bucket.ok_or("the URL of the object store names no bucket: s3://BUCKET/PREFIX")?;
        let prefix = Path::from_url_path(url.path())
            .map_err(|err| format!("the prefix in the URL of the object store cannot be used: {err}"))?;
        // The TLS of the HTTP client is that of the process; another part may have set the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint).unwrap_or_default();
        let options = ClientOptions::new().with_timeout(TIMEOUT).with_connect_timeout(CONNECT);
        let retry =
            RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, retry_timeout: PATIENCE };
        let s3 = builder
            // Clear text is used only where the endpoint says so.
            .with_client_options(options.with_allow_http(endpoint.starts_with("http://")))
            .with_retry(retry)
            .with_disable_bulk_delete(true)
            .build()
            .map_err(|err| format!("the object store cannot be used: {err}"))?;
        let versions = Versions::new(TIMEOUT, CONNECT)
            .map_err(|err| format!("the HTTP client of the object store cannot be made: {err}"))?;
        Ok(Self { s3, prefix, versions, is_versioned: AtomicBool::new(false) })
    }

    pub(super) async fn check(&self) -> Result<(), ObjectStoreError> {
        let (name, data) = (format!("check-{}", Uuid::new_v4()), Bytes::from_static(b"usher"));
        self.put(&name, data.clone()).await?;
        let read = self.read(&name, 0..data.len() as u64).await;
        self.delete(&name, None).await.map_err(|err| match err {
            ObjectStoreError::Unusable(text) if self.is_versioned.load(Ordering::Relaxed) => {
                ObjectStoreError::Unusable(format!(
                    "the bucket keeps versions of deleted objects, and usher may not delete them ({text}): allow \
                     s3:ListBucketVersions and s3:DeleteObjectVersion, or take a bucket without versions"
                ))
            }
            err => err,
        })?;
        if read?.as_ref() == Some(&data) { Ok(()) } else { Err(differs()) }
    }

    pub(super) async fn put(&self, name: &str, data: Bytes) -> Result<(), ObjectStoreError> {
        let put = self.s3.put(&self.path(name), data.into()).await;
        self.note_version(&put.map_err(failed)?);
        Ok(())
    }

    pub(super) async fn begin(&self, name: &str) -> Result<String, ObjectStoreError> {
        self.s3.create_multipart(&self.path(name)).await.map_err(failed)
    }

    pub(super) async fn put_part(
        &self,
        name: &str,
        upload: &str,
        index: usize,
        data: Bytes,
    ) -> Result<String, ObjectStoreError> {
        let id = upload.to_owned();
        let part = self.s3.put_part(&self.path(name), &id, index, data.into()).await;
        Ok(part.map_err(failed)?.content_id)
    }

    pub(super) async fn complete(
        &self,
        name: &str,
        upload: &str,
        parts: Vec<String>,
    ) -> Result<(), ObjectStoreError> {
        let (id, parts) = (upload.to_owned(), parts.into_iter().map(|content_id| PartId { content_id }));
        let put = self.s3.complete_multipart(&self.path(name), &id, parts.collect()).await;
        self.note_version(&put.map_err(failed)?);
        Ok(())
    }

    pub(super) async fn read(
        &self,
        name: &str,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, ObjectStoreError> {
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let read = match self.s3.get_opts(&self.path(name), options).await {
            Ok(found) => found.bytes().await,
            Err(err) => Err(err),
        };
        match read {
            Ok(data) => Ok(Some(data)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(err) => Err(failed(err)),
        }
    }

    pub(super) async fn delete(&self, name: &str, upload: Option<&str>) -> Result<(), ObjectStoreError> {
        let path = self.path(name);
        if let Some(upload) = upload {
            match self.s3.abort_multipart(&path, &upload.to_owned()).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(err) => return Err(failed(err)),
            }
        }
        if self.is_versioned.load(Ordering::Relaxed) {
            return self.versions.delete(&self.s3, &path).await;
        }
        match self.s3.delete(&path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(err) => Err(failed(err)),
        }
    }

    pub(super) async fn sign(
        &self,
        name: &str,
        file_name: &str,
        time: Duration,
    ) -> Result<String, ObjectStoreError> {
        let disposition = format!("attachment; filename=\"{file_name}\"");
        let options = SignedUrlOptions::new().with_query([
            ("response-content-disposition", disposition.as_str()),
            ("response-content-type", "application/gzip"),
        ]);
        let url = self.s3.signed_url_opts(Method::GET, &self.path(name), time, &options).await;
        Ok(url.map_err(failed)?.into())
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    fn note_version(&self, put: &PutResult) {
        if put.version.as_deref().is_some_and(|version| version != NO_VERSION) {
            self.is_versioned.store(true, Ordering::Relaxed);
        }
    }
}

/// What an error of the library means.
#[expect(clippy::needless_pass_by_value, reason = "taken as by `map_err`")]
pub(super) fn failed(err: Error) -> ObjectStoreError {
    let text: String = err.to_string().chars().take(TEXT).collect();
    match err {
        Error::Generic { .. } | Error::JoinError { .. } => ObjectStoreError::Unreachable(text),
        _ => ObjectStoreError::Unusable(text),
    }
}

//! Where archives lie outside the database: in a bucket of S3, or in a directory.
//!
//! An object is there whole or not at all, and durable once it was put. Names are made by the caller, random, and
//! used once. No transaction may be open while one of these functions runs.

mod directory;
mod s3;
mod versions;

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use prost::bytes::Bytes;
use tokio::sync::OnceCell;
use url::Url;

use self::directory::Directory;
use self::s3::Bucket;

/// Bytes of a part of an upload: the fewest that S3 takes, but for the last part.
pub const PART: usize = 5 * 1024 * 1024;

/// A request that was sent may still take effect for so long after its sender is gone.
pub const IN_FLIGHT: Duration = Duration::from_secs(90);

/// An object store that is configured. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ObjectStore {
    place: Arc<Place>,
    /// Set once [`ObjectStore::check`] found nothing against it.
    checked: Arc<OnceCell<()>>,
}

#[derive(Debug)]
enum Place {
    Bucket(Bucket),
    Directory(Directory),
}

/// Why something was not done. The text is for the operator and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectStoreError {
    /// It does not answer, or says that it cannot now.
    #[error("the object store cannot be reached: {0}")]
    Unreachable(String),
    /// It does not let usher do what usher must do, or answers wrongly.
    #[error("the object store cannot be used: {0}")]
    Unusable(String),
}

/// An upload in parts.
#[derive(Debug)]
pub struct Upload {
    /// What ends it from outside; see [`ObjectStore::delete`].
    pub id: String,
    parts: Vec<String>,
}

impl ObjectStore {
    /// The store at `s3://BUCKET/PREFIX` or `file:///DIRECTORY`. Nothing is asked yet. What else S3 needs, such as
    /// credentials, region and endpoint, comes from the variables `AWS_*`. The error says what is wrong with the
    /// URL.
    pub fn open(url: &str) -> Result<Self, String> {
        let parsed =
            Url::parse(url).map_err(|err| format!("the URL of the object store is malformed: {err}"))?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err("the URL of the object store must not hold credentials: set AWS_ACCESS_KEY_ID and \
                        AWS_SECRET_ACCESS_KEY"
                .to_owned());
        }
        if parsed.query().is_some() || parsed.fragment().is_some() || parsed.port().is_some() {
            return Err(
                "the URL of the object store has a bucket and a prefix, nothing else; an endpoint goes \
                        into AWS_ENDPOINT_URL"
                    .to_owned(),
            );
        }
        let place = match parsed.scheme() {
            "s3" => Place::Bucket(Bucket::open(&parsed)?),
            "file" => Place::Directory(Directory::open(&parsed)?),
            other => {
                return Err(format!(
                    "the URL of the object store must begin with `s3://` or `file:///`, not `{other}:`"
                ));
            }
        };
        Ok(Self { place: Arc::new(place), checked: Arc::default() })
    }

    /// Puts, reads and deletes an object, once: everything else waits until this has passed. A bucket that keeps
    /// versions of what is deleted is refused unless usher may delete them.
    pub async fn check(&self) -> Result<(), ObjectStoreError> {
        self.checked
            .get_or_try_init(|| async {
                match &*self.place {
                    Place::Bucket(bucket) => bucket.check().await,
                    Place::Directory(directory) => directory.check().await,
                }
            })
            .await
            .copied()
    }

    /// Stores an object of at most [`PART`] bytes.
    pub async fn put(&self, name: &str, data: Bytes) -> Result<(), ObjectStoreError> {
        self.counted("put", async {
            match &*self.place {
                Place::Bucket(bucket) => bucket.put(name, data).await,
                Place::Directory(directory) => directory.put(name, &data).await,
            }
        })
        .await
    }

    /// Begins an upload in parts.
    pub async fn begin(&self, name: &str) -> Result<Upload, ObjectStoreError> {
        let id = self
            .counted("begin", async {
                match &*self.place {
                    Place::Bucket(bucket) => bucket.begin(name).await,
                    Place::Directory(directory) => directory.begin(name).await,
                }
            })
            .await?;
        Ok(Upload { id, parts: Vec::new() })
    }

    /// Adds [`PART`] bytes to an upload, or fewer as the last part.
    pub async fn put_part(
        &self,
        name: &str,
        upload: &mut Upload,
        data: Bytes,
    ) -> Result<(), ObjectStoreError> {
        let part = self
            .counted("put_part", async {
                match &*self.place {
                    Place::Bucket(bucket) => {
                        bucket.put_part(name, &upload.id, upload.parts.len(), data).await
                    }
                    Place::Directory(directory) => directory.append(name, &data).await,
                }
            })
            .await?;
        upload.parts.push(part);
        Ok(())
    }

    /// Ends an upload: the object is there.
    pub async fn complete(&self, name: &str, upload: Upload) -> Result<(), ObjectStoreError> {
        self.counted("complete", async {
            match &*self.place {
                Place::Bucket(bucket) => bucket.complete(name, &upload.id, upload.parts).await,
                Place::Directory(directory) => directory.complete(name).await,
            }
        })
        .await
    }

    /// Bytes of an object, fewer where it is shorter; `None` where there is no such object.
    pub async fn read(&self, name: &str, range: Range<u64>) -> Result<Option<Bytes>, ObjectStoreError> {
        self.counted("read", async {
            match &*self.place {
                Place::Bucket(bucket) => bucket.read(name, range).await,
                Place::Directory(directory) => directory.read(name, range).await,
            }
        })
        .await
    }

    /// Deletes an object with all its versions, and ends an upload of it. Not an error where neither is there.
    pub async fn delete(&self, name: &str, upload: Option<&str>) -> Result<(), ObjectStoreError> {
        self.counted("delete", async {
            match &*self.place {
                Place::Bucket(bucket) => bucket.delete(name, upload).await,
                Place::Directory(directory) => directory.delete(name).await,
            }
        })
        .await
    }

    /// A URL from which the object can be read for a time, as a file of this name, without another credential;
    /// `None` where the store has none.
    pub async fn sign(
        &self,
        name: &str,
        file_name: &str,
        time: Duration,
    ) -> Result<Option<String>, ObjectStoreError> {
        match &*self.place {
            Place::Bucket(bucket) => bucket.sign(name, file_name, time).await.map(Some),
            Place::Directory(_) => Ok(None),
        }
    }

    /// Does `work` once the store was found usable, and counts how it ended.
    async fn counted<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, ObjectStoreError>> + Send,
    ) -> Result<T, ObjectStoreError> {
        let done = match self.check().await {
            Ok(()) => work.await,
            Err(err) => Err(err),
        };
        let outcome = match &done {
            Ok(_) => "ok",
            Err(ObjectStoreError::Unreachable(_)) => "unreachable",
            Err(ObjectStoreError::Unusable(_)) => "unusable",
        };
        metrics::counter!("usher_object_store_requests_total", "operation" => operation, "outcome" => outcome)
            .increment(1);
        done
    }
}

/// What a check has found in the place of the bytes it put.
fn differs() -> ObjectStoreError {
    ObjectStoreError::Unusable("it returned other bytes than were put into it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_names_no_store_is_refused_with_a_sentence() {
        for (url, says) in [
            ("bucket", "malformed"),
            ("s3://", "bucket"),
            ("s3:///prefix", "bucket"),
            ("gs://bucket", "`gs:`"),
            ("s3://key:secret@bucket/p", "credentials"),
            ("s3://bucket/p?endpoint=x", "AWS_ENDPOINT_URL"),
            ("s3://bucket:9000/p", "AWS_ENDPOINT_URL"),
            ("s3://bucket/a//b", "prefix"),
            ("file://host/dir", "file:///"),
            ("file:///", "directory"),
        ] {
            let refused = ObjectStore::open(url).unwrap_err();
            assert!(refused.contains(says), "{url}: {refused}");
        }
        for url in ["s3://bucket", "s3://bucket/", "s3://bucket/a/b", "file:///tmp/archives"] {
            ObjectStore::open(url).unwrap();
        }
    }
}

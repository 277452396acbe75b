//! Deleting every version of an object. The library deletes the newest one only, which a bucket with versions
//! keeps; it signs the requests that are sent here.

use std::time::Duration;

use http::{Method, StatusCode};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use serde::Deserialize;

use super::ObjectStoreError;
use super::s3::failed;

/// How long a request may be under way before the store takes it.
const VALID: Duration = Duration::from_mins(1);
/// How often what is left is listed: an object has a version or two, since its name is used once.
const ROUNDS: usize = 5;

#[derive(Debug)]
pub(super) struct Versions {
    http: reqwest::Client,
}

/// `ListVersionsResult` of S3.
#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(rename = "Version", default)]
    versions: Vec<Version>,
    #[serde(rename = "DeleteMarker", default)]
    markers: Vec<Version>,
}

#[derive(Debug, Deserialize)]
struct Version {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "VersionId")]
    id: String,
}

impl Versions {
    pub(super) fn new(timeout: Duration, connect: Duration) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().timeout(timeout).connect_timeout(connect).build()?;
        Ok(Self { http })
    }

    /// Deletes all versions of the object at `path`, and what marks it as deleted.
    pub(super) async fn delete(&self, s3: &AmazonS3, path: &Path) -> Result<(), ObjectStoreError> {
        for _ in 0..ROUNDS {
            let left = self.list(s3, path).await?;
            if left.is_empty() {
                return Ok(());
            }
            for version in left {
                self.send(s3, Method::DELETE, path, [("versionId", version.as_str())]).await?;
            }
        }
        Err(ObjectStoreError::Unusable(
            "versions of an object are there again after they were deleted".to_owned(),
        ))
    }

    async fn list(&self, s3: &AmazonS3, path: &Path) -> Result<Vec<String>, ObjectStoreError> {
        let query = [("versions", ""), ("prefix", path.as_ref())];
        let text = self.send(s3, Method::GET, &Path::default(), query).await?;
        let listed: Listed = quick_xml::de::from_str(&text).map_err(|err| {
            ObjectStoreError::Unusable(format!("its list of versions cannot be read: {err}"))
        })?;
        let all = listed.versions.into_iter().chain(listed.markers);
        Ok(all.filter(|version| version.key == path.as_ref()).map(|version| version.id).collect())
    }

    /// Sends a signed request; the answer's text.
    async fn send<const N: usize>(
        &self,
        s3: &AmazonS3,
        method: Method,
        path: &Path,
        query: [(&str, &str); N],
    ) -> Result<String, ObjectStoreError> {
        let options = SignedUrlOptions::new().with_query(query);
        let url = s3.signed_url_opts(method.clone(), path, VALID, &options).await.map_err(failed)?;
        // Errors of the client name the URL, and with it the signature.
        let lost = |err: reqwest::Error| ObjectStoreError::Unreachable(err.without_url().to_string());
        let answer = self.http.request(method.clone(), url).send().await.map_err(lost)?;
        let status = answer.status();
        let text = answer.text().await.map_err(lost)?;
        if status.is_success() {
            return Ok(text);
        }
        let text = format!("{method} of versions was answered with {status}");
        let may_pass = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        Err(if may_pass { ObjectStoreError::Unreachable(text) } else { ObjectStoreError::Unusable(text) })
    }
}

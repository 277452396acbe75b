//! A directory as an object store.
//!
//! Written by hand: the files hold personal data, so that only their owner may read them, and a file that was cut
//! off by a crash must be found by its name; the store of the library does neither.

use std::io::{self, ErrorKind, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use prost::bytes::Bytes;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use url::Url;
use uuid::Uuid;

use super::{ObjectStoreError, differs};

#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn open(url: &Url) -> Result<Self, String> {
        let root = url.to_file_path().map_err(|()| {
            "the object store must be a directory of this machine: file:///DIRECTORY".to_owned()
        })?;
        if root.parent().is_none() {
            return Err("the object store must be a directory of its own, not the root".to_owned());
        }
        Ok(Self { root })
    }

    pub(super) async fn check(&self) -> Result<(), ObjectStoreError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.root).await;
        made.map_err(|err| failed(&self.root, &err))?;
        let (name, data) = (format!("check-{}", Uuid::new_v4()), Bytes::from_static(b"usher"));
        self.put(&name, &data).await?;
        let read = self.read(&name, 0..data.len() as u64).await;
        self.delete(&name).await?;
        if read?.as_ref() == Some(&data) { Ok(()) } else { Err(differs()) }
    }

    pub(super) async fn put(&self, name: &str, data: &[u8]) -> Result<(), ObjectStoreError> {
        self.begin(name).await?;
        self.append(name, data).await?;
        self.complete(name).await
    }

    pub(super) async fn begin(&self, name: &str) -> Result<String, ObjectStoreError> {
        let draft = self.draft(name);
        let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).await;
        made.map_err(|err| failed(&draft, &err))?;
        Ok(String::new())
    }

    pub(super) async fn append(&self, name: &str, data: &[u8]) -> Result<String, ObjectStoreError> {
        let draft = self.draft(name);
        let append = async {
            let mut file = OpenOptions::new().append(true).open(&draft).await?;
            file.write_all(data).await?;
            file.flush().await
        };
        append.await.map_err(|err: io::Error| failed(&draft, &err))?;
        Ok(String::new())
    }

    pub(super) async fn complete(&self, name: &str) -> Result<(), ObjectStoreError> {
        let (draft, file) = (self.draft(name), self.root.join(name));
        let complete = async {
            File::open(&draft).await?.sync_all().await?;
            fs::rename(&draft, &file).await?;
            File::open(&self.root).await?.sync_all().await
        };
        complete.await.map_err(|err: io::Error| failed(&file, &err))
    }

    pub(super) async fn read(
        &self,
        name: &str,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, ObjectStoreError> {
        let file = self.root.join(name);
        let read = async {
            let mut opened = File::open(&file).await?;
            opened.seek(SeekFrom::Start(range.start)).await?;
            let mut data = Vec::new();
            opened.take(range.end.saturating_sub(range.start)).read_to_end(&mut data).await?;
            Ok::<_, io::Error>(data.into())
        };
        match read.await {
            Ok(data) => Ok(Some(data)),
            // A directory that is gone, such as a disk that is not mounted, says nothing about the file.
            Err(err) if err.kind() == ErrorKind::NotFound && self.root.is_dir() => Ok(None),
            Err(err) => Err(failed(&file, &err)),
        }
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), ObjectStoreError> {
        let delete = async {
            for file in [self.draft(name), self.root.join(name)] {
                match fs::remove_file(&file).await {
                    Err(err) if err.kind() == ErrorKind::NotFound => {}
                    removed => removed?,
                }
            }
            File::open(&self.root).await?.sync_all().await
        };
        delete.await.map_err(|err: io::Error| failed(&self.root, &err))
    }

    /// The file while it is written.
    fn draft(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.part"))
    }
}

/// All of them may end by themselves: a disk is mounted, or has space again.
fn failed(file: &Path, err: &io::Error) -> ObjectStoreError {
    ObjectStoreError::Unreachable(format!("{}: {err}", file.display()))
}

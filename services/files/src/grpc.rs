//! The gRPC door: what is known of files. Their content goes over raw HTTP.

use svc_api::files::v1 as api;
use svc_api::files::v1::files_service_server::FilesService;
use svc_kit::message::{self as wire, Page};
use svc_kit::{Caller, Problem};
use tonic::{Request, Response, Status};

use crate::domain::Bucket;
use crate::library::{Library, no_such_file};
use crate::message;

#[tonic::async_trait]
impl FilesService for Library {
    async fn list_files(
        &self,
        request: Request<api::ListFilesRequest>,
    ) -> Result<Response<api::ListFilesReply>, Status> {
        let caller = Caller::of(&request)?;
        let api::ListFilesRequest { page_size, page_token, bucket } = request.into_inner();
        let page = Page::read(page_size, &page_token)?;
        let bucket = match bucket.as_str() {
            "" => None,
            name => Some(bucket_of(name)?),
        };
        let found = self.list(caller.tenant, bucket, page.last, page.to_read()).await?;
        let (found, next_page_token) = page.cut(found, |file| file.id);
        let files = found.iter().map(message::file).collect();
        Ok(Response::new(api::ListFilesReply { files, next_page_token }))
    }

    async fn get_file(&self, request: Request<api::GetFileRequest>) -> Result<Response<api::File>, Status> {
        let caller = Caller::of(&request)?;
        let id = wire::id("id", &request.into_inner().id)?;
        Ok(Response::new(message::file(&self.get(caller.tenant, id).await?)))
    }

    async fn get_file_url(
        &self,
        request: Request<api::GetFileUrlRequest>,
    ) -> Result<Response<api::GetFileUrlReply>, Status> {
        let caller = Caller::of(&request)?;
        let id = wire::id("id", &request.into_inner().id)?;
        let file = self.get(caller.tenant, id).await?;
        // A path at the gateway that needs the caller's own token, so it does not end by itself.
        let url = file.content_path().ok_or_else(no_such_file)?;
        Ok(Response::new(api::GetFileUrlReply { url, expires_at: None }))
    }

    async fn delete_file(&self, request: Request<api::DeleteFileRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request)?;
        let id = wire::id("id", &request.into_inner().id)?;
        self.trash(caller.tenant, id).await?;
        Ok(Response::new(()))
    }

    async fn delete_file_permanently(
        &self,
        request: Request<api::DeleteFilePermanentlyRequest>,
    ) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request)?;
        let id = wire::id("id", &request.into_inner().id)?;
        self.purge(caller.tenant, id).await?;
        Ok(Response::new(()))
    }

    async fn restore_file(
        &self,
        request: Request<api::RestoreFileRequest>,
    ) -> Result<Response<api::File>, Status> {
        let caller = Caller::of(&request)?;
        let id = wire::id("id", &request.into_inner().id)?;
        Ok(Response::new(message::file(&self.restore(caller.tenant, id).await?)))
    }

    async fn presign_upload(
        &self,
        _request: Request<api::PresignUploadRequest>,
    ) -> Result<Response<api::PresignUploadReply>, Status> {
        Err(Problem::not_implemented("Upload through POST /v1/files/upload; presigned uploads come with S3.")
            .into())
    }

    async fn process_file(
        &self,
        _request: Request<api::ProcessFileRequest>,
    ) -> Result<Response<api::File>, Status> {
        Err(Problem::not_implemented("Pictures are kept as they are; they are not processed yet.").into())
    }
}

fn bucket_of(name: &str) -> Result<Bucket, Problem> {
    Bucket::from_name(name).ok_or_else(|| {
        let known = Bucket::ALL.map(Bucket::as_str).join(", ");
        Problem::invalid("The bucket is not known.").violation("bucket", "enum", format!("is one of {known}"))
    })
}

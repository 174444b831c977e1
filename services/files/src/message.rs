//! Files as they go over the wire, in protobuf and in the same JSON that the gateway makes of it.

use prost::Message as _;
use prost_reflect::{DynamicMessage, SerializeOptions};
use svc_api::files::v1 as api;
use svc_kit::{Problem, json, message::timestamp};

use crate::domain::File;

/// The protobuf form.
pub(crate) fn file(file: &File) -> api::File {
    let metadata = file.metadata.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    api::File {
        file_id: file.id.to_string(),
        filename: file.filename.clone(),
        mime_type: file.mime_type.clone(),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        bucket: file.bucket.as_str().to_owned(),
        status: file.status.as_str().to_owned(),
        url: file.content_path(),
        created_at: Some(timestamp(file.created)),
        uploaded_by: file.uploaded_by.map(|user| user.to_string()).unwrap_or_default(),
        metadata: Some(json::to_struct(metadata)),
        sha256: file.sha256.clone(),
    }
}

/// The JSON form, with the options that the gateway uses for every other reply.
pub(crate) fn json_of(message: &api::File) -> Result<Vec<u8>, Problem> {
    const OPTIONS: SerializeOptions = SerializeOptions::new().skip_default_fields(false);

    let name = "platform.files.v1.File";
    let descriptor = svc_api::descriptor_pool().get_message_by_name(name).ok_or_else(|| {
        Problem::internal(std::io::Error::other(format!("the descriptors do not know {name}")))
    })?;
    let dynamic =
        DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).map_err(Problem::internal)?;
    let mut body = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut body);
    dynamic.serialize_with_options(&mut serializer, &OPTIONS).map_err(Problem::internal)?;
    Ok(body)
}

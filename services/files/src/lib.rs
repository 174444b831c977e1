//! Uploads, scanning, downloads, thumbnails.

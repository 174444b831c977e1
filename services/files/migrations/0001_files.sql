-- Uploads on their way. A row without its request is what a crash left behind.
CREATE TABLE uploads (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE files (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    filename TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    size BIGINT NOT NULL CHECK (size >= 0),
    sha256 TEXT NOT NULL,
    bucket TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending_scan', 'available', 'rejected', 'trashed')),
    rejection TEXT NOT NULL,
    scanner TEXT NOT NULL,
    metadata JSONB NOT NULL,
    uploaded_by UUID,
    created_at TIMESTAMPTZ NOT NULL,
    trashed_at TIMESTAMPTZ,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX files_pending ON files (created_at) WHERE status = 'pending_scan';
CREATE INDEX files_trashed ON files (trashed_at) WHERE status = 'trashed';

-- Objects that nothing refers to any more. Written with the change that made them so, removed with the object.
CREATE TABLE doomed_objects (
    tenant_id UUID NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (tenant_id, path)
);

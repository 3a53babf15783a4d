-- Contents may lie outside of the database, each under its own id.
ALTER TABLE media_contents ADD COLUMN place TEXT;  -- `s3://bucket/prefix`, `file:///folder`; null where its bytes are in media_chunks

-- What a content must be is known of every one from now on, so that it can be moved and held against that.
UPDATE media_contents SET size_bytes = item.size_bytes, sha256 = item.sha256
FROM media_items AS item WHERE item.content_id = media_contents.id AND item.sha256 IS NOT NULL;

CREATE INDEX media_items_by_content ON media_items (content_id);
CREATE INDEX media_variants_by_content ON media_variants (content_id);
CREATE INDEX media_contents_here ON media_contents (id) WHERE state = 'kept' AND place IS NULL;
CREATE INDEX media_contents_outside ON media_contents (place) WHERE place IS NOT NULL;

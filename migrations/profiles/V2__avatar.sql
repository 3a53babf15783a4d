-- The picture of a person.
ALTER TABLE profiles ADD COLUMN avatar_id BLOB;  -- a file's id; another module's, so no foreign key

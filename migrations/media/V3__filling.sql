-- What is being filled is looked for by its label, and is little beside what there is.
CREATE INDEX media_contents_filling ON media_contents (label, created_at) WHERE state = 'filling';

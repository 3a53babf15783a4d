-- A partial index does not serve `user_id IS ?`: each new link was preceded by a look at all of them.
DROP INDEX auth_links_by_user;
CREATE INDEX auth_links_by_user ON auth_links (user_id, purpose);

-- When a person proved that mail to their address reaches them; null while they have not. UTC, ms.
ALTER TABLE users ADD COLUMN email_verified_at INTEGER;

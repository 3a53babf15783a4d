//! Profiles in SQLite, with the words of their names.

use std::collections::BTreeMap;

use rusqlite::Row;

use super::Owner;
use super::model::{AvatarId, DisplayName, Profile};
use super::repository::ProfileRepository;
use crate::platform::db::Tables;
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::platform::text;
use crate::sql;

impl ProfileRepository for Tables<'_, Owner> {
    fn insert(&self, profile: &Profile) -> Result<()> {
        let words = name_words(&profile.display_name);
        let p = profile;
        self.execute(
            sql!(
                "INSERT INTO profiles (user_id, display_name, folded_name, bio, locale, time_zone, pronouns, phone,
                                       version, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
            ),
            (
                p.user_id,
                p.display_name.as_str(),
                folded_name(&words),
                &p.bio,
                &p.locale,
                &p.time_zone,
                &p.pronouns,
                &p.phone,
                p.version,
                p.created_at,
                p.updated_at,
            ),
        )?;
        insert_words(self, p.user_id, &words)
    }

    fn find(&self, user: UserId) -> Result<Option<Profile>> {
        self.fetch_optional(
            sql!(
                "SELECT user_id, display_name, bio, locale, time_zone, pronouns, phone, version, created_at, updated_at,
                        avatar_id
                 FROM profiles WHERE user_id = ?1"
            ),
            [user],
            profile,
        )
    }

    fn list_between(&self, first: UserId, last: UserId) -> Result<Vec<Profile>> {
        self.fetch_all(
            sql!(
                "SELECT user_id, display_name, bio, locale, time_zone, pronouns, phone, version, created_at, updated_at,
                        avatar_id
                 FROM profiles WHERE user_id BETWEEN ?1 AND ?2 ORDER BY user_id"
            ),
            (first, last),
            profile,
        )
    }

    fn update(&self, before: &Profile, after: &Profile) -> Result<()> {
        let words = name_words(&after.display_name);
        if before.display_name != after.display_name {
            delete_words(self, before)?;
            insert_words(self, after.user_id, &words)?;
        }
        let p = after;
        self.execute(
            sql!(
                "UPDATE profiles SET display_name = ?2, folded_name = ?3, bio = ?4, locale = ?5, time_zone = ?6,
                                     pronouns = ?7, phone = ?8, version = ?9, updated_at = ?10, avatar_id = ?11
                 WHERE user_id = ?1"
            ),
            (
                p.user_id,
                p.display_name.as_str(),
                folded_name(&words),
                &p.bio,
                &p.locale,
                &p.time_zone,
                &p.pronouns,
                &p.phone,
                p.version,
                p.updated_at,
                p.avatar_id,
            ),
        )
        .map(drop)
    }

    fn delete(&self, user: UserId) -> Result<()> {
        if let Some(profile) = ProfileRepository::find(self, user)? {
            delete_words(self, &profile)?;
        }
        self.execute(sql!("DELETE FROM profiles WHERE user_id = ?1"), [user]).map(drop)
    }

    fn search(&self, word: &str, others: &[String], after: Option<UserId>, limit: u32) -> Result<Vec<UserId>> {
        let others = serde_json::to_string(others).map_err(|e| Error::internal("searching", e))?;
        self.fetch_all(
            sql!(
                "SELECT DISTINCT user_id FROM profile_words
                 WHERE word >= ?1 AND word < ?2 AND user_id > coalesce(?3, x'')
                   AND (?4 = '[]' OR NOT EXISTS (
                       SELECT 1 FROM json_each(?4) AS other, profiles
                       WHERE profiles.user_id = profile_words.user_id
                         AND instr(profiles.folded_name, ' ' || other.value) = 0))
                 ORDER BY user_id LIMIT ?5"
            ),
            (word, text::after_prefix(word), after, others, limit),
            |row| row.get(0),
        )
    }

    fn list_mismatched(&self) -> Result<Vec<UserId>> {
        let mut kept: BTreeMap<UserId, Vec<String>> = BTreeMap::new();
        let words = self.fetch_all(sql!("SELECT user_id, word FROM profile_words ORDER BY word"), [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
        for (user, word) in words? {
            kept.entry(user).or_default().push(word);
        }
        let names: Vec<(UserId, String, String)> =
            self.fetch_all(sql!("SELECT user_id, display_name, folded_name FROM profiles"), [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let mut wrong = Vec::new();
        for (user, name, folded) in names {
            let words = name_words(&DisplayName::from_store(name));
            if kept.remove(&user).unwrap_or_default() != words || folded != folded_name(&words) {
                wrong.push(user);
            }
        }
        wrong.extend(kept.into_keys());
        wrong.sort_unstable();
        Ok(wrong)
    }

    fn reindex(&self, user: UserId) -> Result<()> {
        self.execute(sql!("DELETE FROM profile_words WHERE user_id = ?1"), [user])?;
        let Some(profile) = ProfileRepository::find(self, user)? else { return Ok(()) };
        let words = name_words(&profile.display_name);
        self.execute(sql!("UPDATE profiles SET folded_name = ?2 WHERE user_id = ?1"), (user, folded_name(&words)))?;
        insert_words(self, user, &words)
    }

    fn list_avatars(&self) -> Result<Vec<(UserId, AvatarId)>> {
        self.fetch_all(sql!("SELECT user_id, avatar_id FROM profiles WHERE avatar_id IS NOT NULL"), [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    }

    fn list_ids(&self) -> Result<Vec<UserId>> {
        self.fetch_all(sql!("SELECT user_id FROM profiles ORDER BY user_id"), [], |row| row.get(0))
    }
}

/// Each word once; a name of very many words is found by the first of them.
fn name_words(name: &DisplayName) -> Vec<String> {
    const MAX_WORDS: usize = 20;
    let mut words = text::words(name.as_str());
    words.truncate(MAX_WORDS);
    words.sort_unstable();
    words.dedup();
    words
}

fn folded_name(words: &[String]) -> String {
    words.iter().fold(String::new(), |all, word| all + " " + word)
}

fn insert_words(tables: &Tables<'_, Owner>, user: UserId, words: &[String]) -> Result<()> {
    words.iter().try_for_each(|word| {
        tables.execute(sql!("INSERT INTO profile_words (word, user_id) VALUES (?1, ?2)"), (word, user)).map(drop)
    })
}

fn delete_words(tables: &Tables<'_, Owner>, profile: &Profile) -> Result<()> {
    name_words(&profile.display_name).iter().try_for_each(|word| {
        tables
            .execute(sql!("DELETE FROM profile_words WHERE word = ?1 AND user_id = ?2"), (word, profile.user_id))
            .map(drop)
    })
}

fn profile(row: &Row<'_>) -> rusqlite::Result<Profile> {
    Ok(Profile {
        user_id: row.get(0)?,
        display_name: DisplayName::from_store(row.get(1)?),
        bio: row.get(2)?,
        locale: row.get(3)?,
        time_zone: row.get(4)?,
        pronouns: row.get(5)?,
        phone: row.get(6)?,
        version: row.get(7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
        avatar_id: row.get(10)?,
    })
}

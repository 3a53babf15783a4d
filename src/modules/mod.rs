//! The modules: each owns its tables and shows the others its face alone.
//!
//! What a module does with its tables is its own business, so its key to them can't be had:
//!
//! ```compile_fail,E0603
//! use ashlar::modules::billing::Owner;
//! use ashlar::platform::db::UnitOfWork;
//!
//! fn reach(work: &UnitOfWork<'_>) {
//!     work.tables(Owner(()));
//! }
//! ```
//!
//! Nor can one be forged: a key names the module that it is made in, and only modules own tables.
//!
//! ```compile_fail,E0080
//! use ashlar::platform::db::{self, UnitOfWork};
//!
//! struct Owner(());
//!
//! impl db::Owner for Owner {
//!     const PATH: &'static str = module_path!();
//! }
//!
//! const _: &str = <Owner as db::Owner>::NAME;
//!
//! fn reach(work: &UnitOfWork<'_>) {
//!     work.tables(Owner(()));
//! }
//! ```
//!
//! The same is fine where a module makes it, and everybody may ask a face:
//!
//! ```
//! mod modules {
//!     pub mod notes {
//!         use ashlar::platform::db::{self, UnitOfWork};
//!
//!         struct Owner(());
//!
//!         impl db::Owner for Owner {
//!             const PATH: &'static str = module_path!();
//!         }
//!
//!         const _: &str = <Owner as db::Owner>::NAME;
//!
//!         pub fn reach(work: &UnitOfWork<'_>) {
//!             work.tables(Owner(()));
//!         }
//!     }
//! }
//!
//! use ashlar::modules::billing::{Account, Billing};
//! use ashlar::platform::db::UnitOfWork;
//! use ashlar::platform::error::Result;
//! use ashlar::platform::ids::UserId;
//!
//! fn ask(work: &UnitOfWork<'_>, user: UserId) -> Result<Account> {
//!     Billing.account_of(work, user)
//! }
//! ```

pub mod billing;
pub mod media;
pub mod profiles;
pub mod users;

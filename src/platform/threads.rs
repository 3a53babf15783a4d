//! Threads for what nobody waits for.

use super::error::{Error, Result};

const NICENESS: i32 = 10;

/// From here on the present thread gives way to those for which somebody waits. That it can't is no harm.
pub fn give_way() {
    rustix::process::setpriority_process(None, NICENESS).ok();
}

/// Runs `work` on a thread of its own that gives way to others, and waits for it.
///
/// # Errors
/// If the thread can't be started.
pub fn giving_way<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.into()).spawn_scoped(scope, || {
            give_way();
            work()
        });
        let thread = thread.map_err(|e| Error::internal(&format!("starting the thread `{name}`"), e))?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_way_leaves_its_caller_as_it_was() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        assert_eq!(giving_way("test", niceness).unwrap(), before.max(NICENESS));
        assert_eq!(niceness(), before);
    }
}

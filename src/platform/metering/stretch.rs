//! Stretches: what one thread does for one account without a break. A poll of a request is one, a closure on the
//! writer's thread, a read on a thread that may wait, a job.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::Stream;
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::account::{Account, background};
use super::room::Room;
use super::spans;

/// One short stretch in so many is measured by the thread's clock, which is no cheap call: from a third of a microsecond to
/// more than one, on virtual machines. A prime, so that requests of two or four polls have each of them measured in turn.
const PROBED: u32 = 31;

thread_local! {
    static NOW: Cell<Now> = const { Cell::new(Now { running: false, account: None, turn: 0, touched: 0 }) };
    /// Time in each room's SQL in the stretch that runs.
    static SQL: RefCell<Vec<(&'static Room, u64)>> = const { RefCell::new(Vec::new()) };
}

/// What this thread does just now.
#[derive(Clone, Copy)]
struct Now {
    running: bool,
    account: Option<&'static Account>,
    turn: u32,
    /// A bit for each room whose SQL ran since [`touching`] began.
    touched: u64,
}

/// For whom a thread works, to be taken along to another.
#[derive(Clone, Copy)]
pub struct Ticket(Option<&'static Account>);

impl Ticket {
    /// For whom this thread works now.
    pub fn here() -> Ticket {
        Ticket(NOW.get().account)
    }

    /// For this account.
    pub fn of(account: &'static Account) -> Ticket {
        Ticket(Some(account))
    }

    /// Where it is for nobody in particular, what it does names the account.
    pub fn or_background(self, name: &'static str) -> Ticket {
        Ticket(Some(self.0.unwrap_or_else(|| background(name))))
    }
}

/// The CPU time of this thread.
fn thread_cpu() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// The CPU time of this process so far, its children's not among it.
pub fn process_cpu() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    Duration::new(tv_sec.max(0) as u64, tv_nsec.clamp(0, 999_999_999) as u32)
}

/// Runs `body`, which takes microseconds, for whoever `ticket` names.
pub fn brief<T>(ticket: Ticket, body: impl FnOnce() -> T) -> T {
    run(ticket.0, Clock::Sometimes, None, body).0
}

/// Runs `body`, however long it takes, for whoever `ticket` names.
pub fn long<T>(ticket: Ticket, body: impl FnOnce() -> T) -> T {
    run(ticket.0, Clock::Always, None, body).0
}

/// As [`long`]; `home` bears what is no SQL, whoever it is for.
pub fn long_in<T>(home: &'static Room, ticket: Ticket, body: impl FnOnce() -> T) -> T {
    run(ticket.0, Clock::Always, Some(home), body).0
}

/// Runs a job of this account.
pub fn job<T>(account: &'static Account, body: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = run(Some(account), Clock::Always, None, body).0;
    account.ran(start.elapsed());
    value
}

#[derive(Clone, Copy, PartialEq)]
enum Clock {
    Always,
    Sometimes,
}

/// Runs `body` as one stretch; returns with it whose it was, which may turn out on the way. Within another stretch it
/// is part of that one.
fn run<T>(
    account: Option<&'static Account>,
    clock: Clock,
    home: Option<&'static Room>,
    body: impl FnOnce() -> T,
) -> (T, Option<&'static Account>) {
    let now = NOW.get();
    if now.running {
        return (body(), now.account);
    }
    let turn = now.turn.wrapping_add(1);
    let stretch = Stretch {
        home,
        cpu: (clock == Clock::Always || turn.is_multiple_of(PROBED)).then(thread_cpu),
        start: Instant::now(),
        clock,
    };
    NOW.set(Now { running: true, account, turn, touched: 0 });
    // Its end is counted where `body` panics as well.
    let value = body();
    let account = NOW.get().account;
    drop(stretch);
    (value, account)
}

struct Stretch {
    home: Option<&'static Room>,
    cpu: Option<Duration>,
    start: Instant,
    clock: Clock,
}

impl Drop for Stretch {
    fn drop(&mut self) {
        let wall = self.start.elapsed().as_nanos() as u64;
        let cpu = self.cpu.map(|before| thread_cpu().saturating_sub(before).as_nanos() as u64);
        let now = NOW.get();
        NOW.set(Now { running: false, account: None, ..now });
        SQL.with_borrow_mut(|sql| {
            if let Some(account) = now.account {
                match (self.clock, cpu) {
                    (Clock::Always, Some(cpu)) => account.heavy(wall, cpu, self.home, sql),
                    _ => account.light(wall, cpu, sql),
                }
            }
            sql.clear();
        });
    }
}

/// Notes that a statement of `room` ran on this thread.
pub(super) fn note_statement(room: &'static Room, took: Duration) {
    let now = NOW.get();
    NOW.set(Now { touched: now.touched | 1 << room.index, ..now });
    if !now.running {
        return;
    }
    let ns = took.as_nanos() as u64;
    SQL.with_borrow_mut(|sql| match sql.iter_mut().find(|(known, _)| std::ptr::eq(*known, room)) {
        Some((_, sum)) => *sum += ns,
        None => sql.push((room, ns)),
    });
}

/// Runs `body`, a unit of work or a read of this name, and notes whose SQL ran in it. One within another is noted with
/// both.
pub fn touching<T>(action: spans::Action, name: &'static str, body: impl FnOnce() -> T) -> T {
    let before = NOW.get().touched;
    NOW.set(Now { touched: 0, ..NOW.get() });
    let value = body();
    let now = NOW.get();
    if let Some(account) = now.account {
        spans::note(account, action, name, now.touched);
    }
    NOW.set(Now { touched: before | now.touched, ..now });
    value
}

/// A stream for whoever this thread works for, wherever it is polled: a body that is sent after its answer has begun.
pub fn carried<S: Stream>(stream: S) -> Carried<S> {
    Carried { ticket: Ticket::here(), stream: Box::pin(stream) }
}

/// See [`carried`].
pub struct Carried<S> {
    ticket: Ticket,
    stream: Pin<Box<S>>,
}

impl<S: Stream> Stream for Carried<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        brief(self.ticket, || self.stream.as_mut().poll_next(context))
    }
}

/// Counts CPU time of child processes for whoever this thread works for.
pub fn children(cpu: Duration) {
    if let Some(account) = NOW.get().account {
        account.children(cpu);
    }
}

/// Says that the request of this stretch is `route`'s.
pub fn dispatch(route: &'static Account) {
    NOW.set(Now { account: Some(route), ..NOW.get() });
}

/// Runs a request to its answer: each poll is a stretch, for the route that takes it by [`dispatch`].
pub async fn request<F: Future>(answer: F) -> F::Output {
    let mut answer = pin!(answer);
    let mut asked = Asked { route: None, start: Instant::now() };
    std::future::poll_fn(|context| {
        let (polled, route) = run(asked.route, Clock::Sometimes, None, || answer.as_mut().poll(context));
        asked.route = route;
        polled
    })
    .await
}

/// Counted once it is dropped: also where the client went away before its answer.
struct Asked {
    route: Option<&'static Account>,
    start: Instant,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(route) = self.route {
            route.ran(self.start.elapsed());
        }
    }
}

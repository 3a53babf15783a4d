//! Jobs: after the commit, at least once, recorded exactly once, whatever fails, hangs or dies on the way.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use ashlar::app;
use ashlar::platform::actor::Actor;
use ashlar::platform::audit::{self, Change};
use ashlar::platform::clock::Clock;
use ashlar::platform::db::{Database, Folder, Lock, Role, Tuning, UnitOfWork};
use ashlar::platform::error::{Error, Result};
use ashlar::platform::jobs::{
    self, Failure, HERE, Job, JobId, Kind, Kinds, Leased, Leasing, Order, Payload, Priority, Record, Run, State,
    Workers,
};
use serde::{Deserialize, Serialize};

/// Long enough not to lapse within a test.
const LEASE: Duration = Duration::from_secs(60);
const BY_HAND: Leasing<'static> = Leasing { worker: HERE, lease_ms: 60_000 };

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
struct Number(u32);
impl Payload for Number {
    const KIND: &'static str = "test.number";
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Other(u32);
impl Payload for Other {
    const KIND: &'static str = "test.other";
}

/// What is done by the clock bears nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Tick;
impl Payload for Tick {
    const KIND: &'static str = "test.tick";
}

/// A database with its jobs, in this process.
pub struct Unit {
    pub database: Database,
    _lock: Lock,
}

impl Unit {
    pub fn open(folder: &Path) -> Unit {
        let folder = Folder::at(folder).unwrap();
        let lock = folder.lock().unwrap();
        let schema = app::prove().unwrap().0;
        let database = Database::open(&folder, schema, Clock::system(), Role::Server, Tuning::default()).unwrap();
        Unit { database, _lock: lock }
    }

    pub fn write<T: Send + 'static>(
        &self,
        body: impl FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        tokio::task::block_in_place(|| self.database.write_blocking("test", Actor::system(), body))
    }

    pub fn enqueue<P: Payload + Sync>(&self, payload: P) -> JobId {
        self.write(move |work| jobs::enqueue(work, &payload)).unwrap()
    }

    pub fn job(&self, id: JobId) -> Job {
        self.database.read_blocking("test", |snapshot| jobs::find(snapshot, id)).unwrap()
    }

    pub fn failures(&self, id: JobId) -> Vec<String> {
        let failures = self.database.read_blocking("test", |snapshot| jobs::failures(snapshot, id)).unwrap();
        failures.into_iter().map(|failed| failed.why).collect()
    }

    fn list(&self, state: State) -> Vec<Job> {
        self.database.read_blocking("test", |snapshot| jobs::list(snapshot, Some(state), None, None, 1000)).unwrap()
    }

    fn lease(&self, kind: &Kind, who: Leasing<'static>, limit: usize) -> Vec<Leased> {
        let kind = kind.clone();
        self.write(move |work| jobs::lease(work, &kind, who, limit)).unwrap()
    }

    /// How often a result was recorded for this job.
    fn recorded(&self, id: JobId) -> usize {
        let subject = Some(audit::SubjectId::from_uuid(id.uuid()));
        self.database.read_blocking("test", |snapshot| audit::list(snapshot, subject, None, 100)).unwrap().len()
    }

    pub async fn wait(&self, what: &str, is_it: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_it() {
            let all = State::ALL.map(|state| self.list(state));
            assert!(start.elapsed() < Duration::from_secs(20), "not {what}: {all:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn work(&self, kinds: &Kinds) -> Workers {
        let workers = Workers::new(self.database.clone(), kinds.clone(), LEASE);
        tokio::spawn(workers.clone().run());
        workers
    }
}

impl Unit {
    /// How often [`note_in`] was called for this.
    pub fn noted(&self, what: &str) -> usize {
        let all = self.database.read_blocking("test", |snapshot| audit::list(snapshot, None, None, 1000)).unwrap();
        all.iter().filter(|entry| entry.after.as_ref().is_some_and(|after| after == what)).count()
    }
}

/// Says in the audit trail that something was done, so that doing it twice shows.
pub fn note_in(work: &UnitOfWork<'_>, what: &str) -> Result<()> {
    let done =
        Change { action: "test.done", subject: uuid::Uuid::nil(), person: None, before: None, after: Some(&what) };
    audit::record(work, done)
}

/// Says in the audit trail that a job was done, so that doing it twice shows.
fn note(id: JobId) -> Record {
    Record::new(move |work| {
        let done = Change { action: "test.done", subject: id.uuid(), person: None, before: None, after: None };
        audit::record(work, done)
    })
}

fn kinds(kinds: impl IntoIterator<Item = Kind>) -> Kinds {
    Kinds::new(kinds.into_iter().collect()).unwrap()
}

fn noting() -> Kind {
    Kind::new(|run: &Run, _: Number| Ok(note(run.job)))
}

fn quick(kind: Kind) -> Kind {
    kind.backoff(Duration::from_millis(10), Duration::from_millis(20))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_after_the_commit_and_never_after_a_rollback() {
    let folder = tempfile::tempdir().unwrap();
    let unit = Unit::open(folder.path());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let it = seen.clone();
    let kind = Kind::new(move |run: &Run, Number(number)| {
        it.lock().unwrap().push(number);
        Ok(note(run.job))
    });
    let workers = unit.work(&kinds([kind]));

    let refused: Result<()> = unit.write(|work| {
        jobs::enqueue(work, &Number(1))?;
        Err(Error::Internal("a change of mind".into()))
    });
    let id = unit.enqueue(Number(2));

    assert!(refused.is_err());
    unit.wait("done", || unit.job(id).state == State::Done).await;
    assert_eq!(*seen.lock().unwrap(), [2]);
    assert_eq!(unit.recorded(id), 1);
    assert_eq!(State::ALL.map(|state| unit.list(state).len()).iter().sum::<usize>(), 1);
    workers.stop(LEASE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_wakes_the_workers_at_once_and_what_another_process_enqueues_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let unit = Unit::open(folder.path());
    let workers = unit.work(&kinds([noting()]));
    tokio::time::sleep(Duration::from_millis(300)).await;

    let start = Instant::now();
    let id = unit.enqueue(Number(1));
    unit.wait("done", || unit.job(id).state == State::Done).await;
    // It looks by itself every two seconds.
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());

    // Another connection of another database handle raises no signal in this one, just like another process.
    let schema = app::prove().unwrap().0;
    let beside =
        Database::open(&Folder::at(folder.path()).unwrap(), schema, Clock::system(), Role::Beside, Tuning::default());
    let enqueue = || beside.unwrap().write_blocking("test", Actor::system(), |work| jobs::enqueue(work, &Number(2)));
    let id = tokio::task::block_in_place(enqueue).unwrap();
    unit.wait("found", || unit.job(id).state == State::Done).await;
    workers.stop(LEASE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_tried_again_and_given_up_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let unit = Unit::open(folder.path());
    let works_at_last = Arc::new(AtomicUsize::new(usize::MAX));
    let (it, deaths) = (works_at_last.clone(), Arc::new(AtomicUsize::new(0)));
    let told = deaths.clone();
    let kind = Kind::new(move |run: &Run, _: Number| match run.attempt as usize >= it.load(Ordering::Relaxed) {
        true => Ok(note(run.job)),
        false => Err(Failure::Retry(format!("try {}", run.attempt))),
    });
    let kind = quick(kind).attempts(3).on_death(move |_, Number(number), why| {
        assert_eq!((number, why), (7, "try 3"));
        told.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let workers = unit.work(&kinds([kind]));

    let id = unit.enqueue(Number(7));
    unit.wait("dead", || unit.job(id).state == State::Dead).await;
    assert_eq!(unit.failures(id), ["try 1", "try 2", "try 3"]);
    assert_eq!(deaths.load(Ordering::Relaxed), 1);
    assert_eq!(unit.job(id).last_error.as_deref(), Some("try 3"));

    // It has all its tries again.
    works_at_last.store(2, Ordering::Relaxed);
    unit.write(move |work| jobs::retry(work, id)).unwrap();
    unit.wait("done", || unit.job(id).state == State::Done).await;
    assert_eq!((unit.failures(id), unit.recorded(id)), (vec!["try 1".to_owned()], 1));
    let again = unit.write(move |work| jobs::retry(work, id)).unwrap_err();
    assert!(again.to_string().contains("nothing to retry"), "{again}");
    workers.stop(LEASE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_job_blocks_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let unit = Unit::open(folder.path());
    let number = Kind::new(|run: &Run, Number(number)| match number {
        0 => panic!("it can't be swallowed"),
        1 => loop {
            // It heeds nobody.
            std::thread::sleep(Duration::from_millis(20));
        },
        _ => Ok(note(run.job)),
    });
    let number = quick(number).slots(1).attempts(2).longest_run(Duration::from_secs(2));
    let other = Kind::new(|run: &Run, _: Other| Ok(note(run.job)));
    let workers = Workers::new(unit.database.clone(), kinds([number, other]), Duration::from_millis(300));
    tokio::spawn(workers.clone().run());
    let unreadable = unit.write(|work| {
        #[derive(Serialize, Deserialize)]
        struct Text(String);
        impl Payload for Text {
            const KIND: &'static str = "test.number";
        }
        jobs::enqueue(work, &Text("seven".into()))
    });
    let unreadable = unreadable.unwrap();

    let panics = unit.enqueue(Number(0));
    let hangs = unit.enqueue(Number(1));
    let others: Vec<_> = (0..20).map(|n| unit.enqueue(Other(n))).collect();
    let behind = unit.enqueue(Number(2));

    unit.wait("all done", || others.iter().all(|id| unit.job(*id).state == State::Done)).await;
    unit.wait("done behind them", || unit.job(behind).state == State::Done).await;
    unit.wait("given up", || [unreadable, panics, hangs].iter().all(|id| unit.job(*id).state == State::Dead)).await;
    assert!(unit.failures(unreadable)[0].contains("can't read its payload"));
    assert_eq!(unit.failures(panics), ["it panicked: it can't be swallowed"; 2]);
    assert_eq!(unit.failures(hangs), ["it took too long"; 2]);
    workers.stop(Duration::from_millis(10)).await;
}

#[test]
fn what_comes_late_from_a_run_that_was_given_up_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let unit = Unit::open(folder.path());
    let kind = noting();
    let all = kinds([kind.clone()]);
    let id = unit.enqueue(Number(1));
    let frozen = Leasing { lease_ms: -1, ..BY_HAND };

    let first = unit.lease(&kind, frozen, 1).pop().unwrap();
    // Nobody hears of it, so another takes the job; the first thaws in the midst of that.
    let workers = Workers::new(unit.database.clone(), kinds([]), LEASE);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let handed_out = runtime.spawn(workers.clone().run());
    // To these workers the kind is unknown, so it is given up at once.
    runtime.block_on(unit.wait("taken back", || unit.job(id).state == State::Dead));
    runtime.block_on(workers.stop(LEASE));
    runtime.block_on(handed_out).unwrap();
    unit.write(move |work| jobs::retry(work, id)).unwrap();
    let second = unit.lease(&kind, BY_HAND, 1).pop().unwrap();

    let late = unit.write(move |work| jobs::complete(work, id, first.lease, note(id)));
    let (kinds, failure) = (all.clone(), Failure::Retry("late".into()));
    let late_failure = unit.write(move |work| jobs::fail(work, &kinds, id, first.lease, &failure));
    let renewed = unit.write(move |work| jobs::renew(work, id, first.lease, BY_HAND, None)).unwrap();
    unit.write(move |work| jobs::complete(work, id, second.lease, note(id))).unwrap();
    let twice = unit.write(move |work| jobs::complete(work, id, second.lease, note(id)));

    assert!(matches!(late, Err(Error::Conflict { field: Some("lease"), .. })), "{late:?}");
    assert!(late_failure.is_err() && twice.is_err() && !renewed);
    assert_eq!((unit.job(id).state, unit.recorded(id)), (State::Done, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_is_recorded_once_whatever_fails_and_whoever_stops() {
    let folder = tempfile::tempdir().unwrap();
    let unit = Unit::open(folder.path());
    let runs = Arc::new(AtomicUsize::new(0));
    let it = runs.clone();
    // About a third of the runs fail, half of those after they have worked for a while.
    let number = Kind::new(move |run: &Run, Number(number)| {
        let roll = it.fetch_add(1, Ordering::Relaxed).wrapping_mul(2_654_435_761) >> 7;
        if roll.is_multiple_of(3) {
            return Err(Failure::Retry("not this time".into()));
        }
        for percent in 0..(number % 4) as u8 {
            std::thread::sleep(Duration::from_millis(3));
            run.progress(percent)?;
        }
        // Halfway it may turn out that the job is not this run's any more.
        run.write("halfway", |_| Ok(()))?;
        Ok(note(run.job))
    });
    let all = kinds([quick(number).slots(4).attempts(1000)]);
    let ids: Vec<_> = (0..300).map(|n| unit.enqueue(Number(n))).collect();

    // Workers come and go, some without leaving anyone time.
    for round in 0..12 {
        let workers = unit.work(&all);
        tokio::time::sleep(Duration::from_millis(40)).await;
        workers.stop(Duration::from_millis(if round % 2 == 0 { 0 } else { 500 })).await;
    }
    let workers = unit.work(&all);
    unit.wait("all done", || unit.list(State::Done).len() == ids.len()).await;
    workers.stop(LEASE).await;

    assert!(runs.load(Ordering::Relaxed) > 350, "too few failed for this to say anything");
    let wrong: Vec<_> = ids.iter().filter(|id| unit.recorded(**id) != 1).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_from_outside_runs_again_and_loses_no_try() {
    let folder = tempfile::tempdir().unwrap();
    let unit = Unit::open(folder.path());
    let (began, begins) = mpsc::channel();
    let began = Mutex::new(began);
    let deaf = Kind::new(move |run: &Run, Number(number)| {
        began.lock().unwrap().send(number).ok();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2) && !(number == 1 && run.is_stopping()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if number == 1 { Err(Failure::Retry("told to stop".into())) } else { Ok(note(run.job)) }
    });
    let all = kinds([deaf.clone()]);
    let workers = unit.work(&all);
    let heeds = unit.enqueue(Number(1));
    let heeds_not = unit.enqueue(Number(2));
    begins.recv_timeout(Duration::from_secs(10)).unwrap();
    begins.recv_timeout(Duration::from_secs(10)).unwrap();

    workers.stop(Duration::from_millis(300)).await;

    for id in [heeds, heeds_not] {
        let job = unit.job(id);
        assert_eq!((job.state, job.attempt, unit.failures(id).len()), (State::Ready, 0, 0), "{job:?}");
    }
    // The second ends by itself, but the job is not its own any more.
    tokio::time::sleep(Duration::from_millis(2200)).await;
    assert_eq!(unit.recorded(heeds_not), 0);

    // A server that was killed gave nothing back.
    let taken = unit.lease(&deaf, BY_HAND, 2);
    assert_eq!(taken.len(), 2);
    let abandoned = tokio::task::block_in_place(|| jobs::abandon_runs_here(&unit.database, &all));
    assert_eq!(abandoned.unwrap(), 2);
    assert_eq!(unit.failures(heeds), ["the server ended while it ran"]);
    assert_eq!(unit.job(heeds).state, State::Waiting);
}

#[test]
fn of_jobs_with_the_same_key_there_is_one_until_it_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let unit = Unit::open(folder.path());
    let kind = noting();
    let keyed = |number| {
        unit.write(move |work| {
            let order = Order { unique_key: Some("the same".into()), ..Order::default() };
            jobs::enqueue_with(work, &Number(number), order)
        })
        .unwrap()
    };

    let first = keyed(1);
    assert_eq!(keyed(2), first);
    let taken = unit.lease(&kind, BY_HAND, 5);
    assert_eq!(taken.len(), 1);
    assert_eq!(keyed(3), first, "one that runs has not ended");
    let lease = taken[0].lease;
    let failure = Failure::Never("no".into());
    let all = kinds([kind]);
    unit.write(move |work| jobs::fail(work, &all, first, lease, &failure)).unwrap();

    let second = keyed(4);

    assert_ne!(second, first);
    let conflict = unit.write(move |work| jobs::retry(work, first)).unwrap_err();
    assert!(conflict.to_string().contains("another job does the same"), "{conflict}");
}

#[test]
fn the_urgent_come_first_and_what_waits_for_its_time_does_not_come_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let unit = Unit::open(folder.path());
    let ordered = |number, priority, in_s: i64| {
        unit.write(move |work| {
            let run_at = (in_s != 0).then(|| work.now().plus_seconds(in_s));
            jobs::enqueue_with(work, &Number(number), Order { priority, run_at, ..Order::default() })
        })
        .unwrap();
    };
    ordered(1, Priority::Bulk, 0);
    ordered(2, Priority::Normal, 0);
    ordered(3, Priority::Urgent, 3600);
    ordered(4, Priority::Normal, 0);
    ordered(5, Priority::Urgent, 0);
    // Whose time came first is first, whichever was enqueued first.
    ordered(6, Priority::Bulk, -10);

    let taken = unit.lease(&noting(), BY_HAND, 10);

    let numbers: Vec<Number> = taken.iter().map(|job| serde_json::from_str(&job.payload).unwrap()).collect();
    assert_eq!(numbers, [5, 2, 4, 6, 1].map(Number));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_paused_or_held_waits_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let unit = Unit::open(folder.path());
    let outward = Kind::new(|run: &Run, _: Other| Ok(note(run.job))).outward();
    let all = kinds([noting(), outward]);
    unit.write(|work| {
        jobs::pause(work, "test.number", true)?;
        jobs::restored(work)
    })
    .unwrap();
    let workers = unit.work(&all);
    let (paused, held) = (unit.enqueue(Number(1)), unit.enqueue(Other(1)));

    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!([paused, held].map(|id| unit.job(id).state), [State::Ready; 2]);

    unit.write(|work| {
        jobs::pause(work, "test.number", false)?;
        jobs::let_out(work)
    })
    .unwrap();
    unit.wait("done", || [paused, held].iter().all(|id| unit.job(*id).state == State::Done)).await;
    workers.stop(LEASE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_by_the_clock_is_done_once_a_tick() {
    let folder = tempfile::tempdir().unwrap();
    let unit = Unit::open(folder.path());
    let kind = Kind::new(|run: &Run, _: Tick| Ok(note(run.job))).every("* * * * * *");
    let all = kinds([kind]);
    // Two servers can't stand over one database; two handing out at once must still not double a tick.
    let (one, two) = (unit.work(&all), unit.work(&all));
    tokio::time::sleep(Duration::from_millis(3500)).await;
    one.stop(LEASE).await;
    two.stop(LEASE).await;

    let done = unit.list(State::Done);
    assert!((2..=4).contains(&done.len()), "{}", done.len());
    assert!(done.iter().all(|job| unit.recorded(job.id) == 1));
    assert!(Kinds::new(vec![Kind::new(|_: &Run, _: Tick| Ok(Record::nothing())).every("at noon")]).is_err());
}

#[test]
fn what_was_done_is_forgotten_after_a_day_and_what_died_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let unit = Unit::open(folder.path());
    let kind = noting();
    let all = kinds([kind.clone()]);
    let (done, dead) = (unit.enqueue(Number(1)), unit.enqueue(Number(2)));
    let taken = unit.lease(&kind, BY_HAND, 2);
    let (first, second) = (taken[0].lease, taken[1].lease);
    unit.write(move |work| jobs::complete(work, done, first, note(done))).unwrap();
    unit.write(move |work| jobs::fail(work, &all, dead, second, &Failure::Never("no".into()))).unwrap();
    drop(unit);
    let connection = rusqlite::Connection::open(folder.path().join("ashlar.db")).unwrap();
    connection.execute("UPDATE jobs SET ended_at = ended_at - 90000000", []).unwrap();
    drop(connection);
    let unit = Unit::open(folder.path());

    assert_eq!(unit.write(jobs::sweep).unwrap(), 1);

    assert_eq!((unit.list(State::Done).len(), unit.list(State::Dead).len()), (0, 1));
    unit.write(move |work| jobs::discard(work, dead)).unwrap();
    assert_eq!(unit.job(dead).state, State::Discarded);
}

//! What can go wrong, in few kinds; `platform/http/problem.rs` is the one place that knows their HTTP status.

/// One wrong field of a form or a JSON body.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// The field's name, a path where it is nested (`lines[0].amount`).
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub detail: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        FieldError { field: field.into(), detail: detail.into() }
    }
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request can't be understood at all.
    #[error("{0}")]
    Malformed(String),
    /// It is understood, but fields are wrong.
    #[error("{}", fields(.0))]
    Invalid(Vec<FieldError>),
    /// Nobody, or nobody any more, is signed in with this.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// This person may not do that.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing, or not for this person.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It contradicts what is there already; the field that does, where one does.
    #[error("{detail}")]
    Conflict { field: Option<&'static str>, detail: String },
    /// A unique key is taken. Say of what with [`OrConflict`].
    #[error("this record exists already")]
    Duplicate,
    /// Someone else changed it since it was read (`If-Match`).
    #[error("it has changed since you read it: read it again and repeat your change")]
    Stale,
    /// A body beyond its limit in bytes.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    /// More than a limit, or what is left of one, allows.
    #[error("{0}")]
    NoRoom(String),
    /// It was there, and is not any more.
    #[error("{0}")]
    Gone(&'static str),
    /// A body of a type that is not taken here.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// The body did not arrive in time.
    #[error("the body did not arrive within {limit_s} seconds")]
    TooSlow { limit_s: u64 },
    /// Too often; try again after so many seconds.
    #[error("too many attempts: try again in {retry_after_s} seconds")]
    Limited { retry_after_s: u64 },
    /// More work waits than can be done soon; nothing was done.
    #[error("{0}; nothing was saved, try again in a moment")]
    Overloaded(&'static str),
    /// The transaction that this shared with others was lost; nothing was done.
    #[error("the transaction was lost ({0}); nothing was saved, try again")]
    Lost(&'static str),
    /// The disk has no room; nothing was done.
    #[error("the disk is full; nothing was saved, make room and try again")]
    DiskFull,
    /// The disk refused to confirm a write.
    #[error("the disk did not confirm the write: whether it was saved is known only after a restart")]
    Uncertain,
    /// What lies outside of the database can't be had now; the text is for its owner, not for callers.
    #[error("{0}")]
    Unreachable(String),
    /// Code reached beyond its module; the text names the place and the way out.
    #[error("{0}")]
    Boundary(String),
    /// A fault of the program or the machine; the text is for its owner, not for callers.
    #[error("{0}")]
    Internal(String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// One wrong field.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Error::Invalid(vec![FieldError::new(field, detail)])
    }

    pub fn conflict(field: &'static str, detail: impl Into<String>) -> Self {
        Error::Conflict { field: Some(field), detail: detail.into() }
    }

    /// A fault with what was being done when it happened.
    pub fn internal(doing: &str, cause: impl std::fmt::Display) -> Self {
        Error::Internal(format!("{doing}: {cause}"))
    }
}

/// Says what a taken unique key means.
pub trait OrConflict<T> {
    /// Turns [`Error::Duplicate`] into a conflict about `field`.
    fn or_conflict(self, field: &'static str, detail: &str) -> Result<T>;
}

impl<T> OrConflict<T> for Result<T> {
    fn or_conflict(self, field: &'static str, detail: &str) -> Result<T> {
        self.map_err(|error| match error {
            Error::Duplicate => Error::conflict(field, detail),
            other => other,
        })
    }
}

/// Several checks of one form, so that all wrong fields are reported at once.
pub trait Together {
    type All;

    /// All the values, or [`Error::Invalid`] with every field that is wrong.
    fn together(self) -> Result<Self::All>;
}

macro_rules! together {
    ($($one:ident $value:ident),+) => {
        impl<$($one),+> Together for ($(Result<$one>,)+) {
            type All = ($($one,)+);

            fn together(self) -> Result<Self::All> {
                let ($($value,)+) = self;
                let mut wrong = Vec::new();
                $(let $value = match $value {
                    Ok(value) => Some(value),
                    Err(Error::Invalid(errors)) => {
                        wrong.extend(errors);
                        None
                    }
                    Err(other) => return Err(other),
                };)+
                match ($($value,)+) {
                    ($(Some($value),)+) => Ok(($($value,)+)),
                    _ => Err(Error::Invalid(wrong)),
                }
            }
        }
    };
}

together!(A a, B b);
together!(A a, B b, C c);
together!(A a, B b, C c, D d);

fn fields(errors: &[FieldError]) -> String {
    errors.iter().map(|e| format!("{}: {}", e.field, e.detail)).collect::<Vec<_>>().join("; ")
}

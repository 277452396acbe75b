//! Why something was refused: the names of the proto enum `ErrorReason`, without its prefix.

macro_rules! reasons {
    ($($variant:ident = $name:literal,)*) => {
        /// One reason. The proto enum tells what each means and what to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "documented at the proto enum")]
        pub enum Reason { $($variant,)* }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As it travels.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    InvalidField = "INVALID_FIELD",
    TooLarge = "TOO_LARGE",
    FilterInvalid = "FILTER_INVALID",
    PageTokenInvalid = "PAGE_TOKEN_INVALID",
    CredentialsMissing = "CREDENTIALS_MISSING",
    ApiKeyUnknown = "API_KEY_UNKNOWN",
    TokenInvalid = "TOKEN_INVALID",
    TokenExpired = "TOKEN_EXPIRED",
    TokenNotYetValid = "TOKEN_NOT_YET_VALID",
    TokenRevoked = "TOKEN_REVOKED",
    PermissionMissing = "PERMISSION_MISSING",
    SessionEnded = "SESSION_ENDED",
    UserNotFound = "USER_NOT_FOUND",
    UserDeleted = "USER_DELETED",
    UserDeactivated = "USER_DEACTIVATED",
    UserNotDeactivated = "USER_NOT_DEACTIVATED",
    UserNotDeleted = "USER_NOT_DELETED",
    NotRestorable = "NOT_RESTORABLE",
    RoleNotFound = "ROLE_NOT_FOUND",
    NameTaken = "NAME_TAKEN",
    GuestsDisabled = "GUESTS_DISABLED",
    VersionMismatch = "VERSION_MISMATCH",
    RequestIdReused = "REQUEST_ID_REUSED",
    TaskNotFound = "TASK_NOT_FOUND",
    TaskFinished = "TASK_FINISHED",
    TaskNotFailed = "TASK_NOT_FAILED",
    KindUnsupported = "KIND_UNSUPPORTED",
    ChannelNotFound = "CHANNEL_NOT_FOUND",
    CallNotFound = "CALL_NOT_FOUND",
    MessageNotFound = "MESSAGE_NOT_FOUND",
    FeedNotFound = "FEED_NOT_FOUND",
    ActivityNotFound = "ACTIVITY_NOT_FOUND",
    CommentNotFound = "COMMENT_NOT_FOUND",
    MemberNotFound = "MEMBER_NOT_FOUND",
    TeamMismatch = "TEAM_MISMATCH",
    KeyNotFound = "KEY_NOT_FOUND",
    KeyLast = "KEY_LAST",
    TooManyKeys = "TOO_MANY_KEYS",
    Conflict = "CONFLICT",
    Overloaded = "OVERLOADED",
    DatabaseUnavailable = "DATABASE_UNAVAILABLE",
    ServerDraining = "SERVER_DRAINING",
    DeadlineExceeded = "DEADLINE_EXCEEDED",
    Internal = "INTERNAL",
    ImmutableField = "IMMUTABLE_FIELD",
    ExportNotReady = "EXPORT_NOT_READY",
    ExportGone = "EXPORT_GONE",
    ObjectStoreUnavailable = "OBJECT_STORE_UNAVAILABLE",
}

//! What the parser takes, means and refuses.

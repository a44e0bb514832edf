//! What takes minutes, with `TIDELOG_LONG=1`.

//! Dialogs over the stack.
